//! Names for those who ask for none: two words that follow from identity and tunnel label, so that
//! the same laptop gets the same URL every time, with no account.

use adit_shared::identity::Fingerprint;
use adit_shared::name::Name;
use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;

/// The names to try for a tunnel, in order, until one is free: two words, then the same words with
/// a suffix. They follow from their arguments alone.
pub fn candidates(identity: &Fingerprint, label: &str) -> impl Iterator<Item = Name> + use<> {
    let mut context = Context::new(&SHA256);
    context.update(identity.as_bytes());
    context.update(label.as_bytes());
    let digest = context.finish();
    let pick =
        |at: usize, words: &[&'static str; 128]| words[usize::from(digest.as_ref()[at] & 127)];
    let words = format!("{}-{}", pick(0, &ADJECTIVES), pick(1, &ANIMALS));
    let suffix: Vec<String> = digest.as_ref()[2..2 + TRIES * 2]
        .chunks(2)
        .map(|pair| HEXLOWER.encode(pair))
        .collect();
    let suffixed = suffix.into_iter().map({
        let words = words.clone();
        move |suffix| format!("{words}-{suffix}")
    });
    std::iter::once(words)
        .chain(suffixed)
        .filter_map(|name| name.parse().ok())
}

/// Suffixes to try.
const TRIES: usize = 8;

const ADJECTIVES: [&str; 128] = [
    "able", "agile", "alert", "amber", "ample", "apt", "aqua", "arctic", "autumn", "azure",
    "balmy", "basic", "bold", "brave", "breezy", "brief", "bright", "brisk", "bronze", "busy",
    "calm", "candid", "careful", "casual", "cheery", "chief", "civil", "clean", "clear", "clever",
    "cobalt", "copper", "coral", "cosmic", "cozy", "crisp", "curious", "daily", "dapper", "daring",
    "deep", "deft", "dewy", "eager", "early", "earnest", "easy", "even", "exact", "fair", "famous",
    "fancy", "fast", "fine", "firm", "fleet", "fluent", "fond", "frank", "free", "fresh", "gentle",
    "glad", "golden", "good", "grand", "great", "green", "handy", "happy", "hardy", "hazel",
    "honest", "humble", "icy", "ideal", "ivory", "jade", "jolly", "keen", "kind", "large", "light",
    "lilac", "lively", "loyal", "lucid", "lucky", "lunar", "magic", "major", "maple", "mellow",
    "merry", "mild", "mint", "misty", "modern", "modest", "neat", "nimble", "noble", "novel",
    "olive", "open", "pearl", "placid", "plain", "polar", "polite", "prime", "proud", "quick",
    "quiet", "rapid", "ready", "regal", "rosy", "royal", "rustic", "sage", "silver", "smart",
    "snowy", "solar", "solid", "steady", "sunny",
];

const ANIMALS: [&str; 128] = [
    "alpaca", "ant", "antelope", "badger", "bat", "bear", "beaver", "bee", "bison", "bobcat",
    "bream", "buffalo", "bunting", "camel", "canary", "carp", "cat", "chamois", "cheetah",
    "chough", "clam", "cobra", "cod", "colt", "condor", "coot", "coyote", "crab", "crane",
    "cricket", "crow", "curlew", "deer", "dingo", "dolphin", "donkey", "dove", "duck", "dunlin",
    "eagle", "eel", "egret", "eland", "elk", "ermine", "falcon", "fawn", "ferret", "finch",
    "firefly", "fox", "frog", "gannet", "gazelle", "gecko", "gibbon", "goat", "goose", "grouse",
    "gull", "hare", "hawk", "hedgehog", "heron", "hornet", "horse", "ibex", "ibis", "iguana",
    "jackal", "jaguar", "jay", "kestrel", "kite", "kiwi", "koala", "lark", "lemur", "leopard",
    "linnet", "lion", "lizard", "llama", "lobster", "lynx", "magpie", "marmot", "marten", "merlin",
    "mole", "moose", "moth", "mouse", "newt", "ocelot", "oriole", "osprey", "otter", "owl", "ox",
    "panda", "panther", "parrot", "pelican", "petrel", "pigeon", "pike", "plover", "pony",
    "puffin", "puma", "quail", "rabbit", "raven", "robin", "salmon", "seal", "shrew", "skua",
    "sparrow", "stork", "swan", "swift", "tapir", "tern", "toad", "trout", "turtle",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_identity_and_label_alone() {
        let (one, other) = (Fingerprint::of(&[1; 32]), Fingerprint::of(&[2; 32]));
        let all = |identity, label| candidates(identity, label).collect::<Vec<_>>();
        assert_eq!(
            all(&one, "http://localhost:3000"),
            all(&one, "http://localhost:3000")
        );
        assert_ne!(
            all(&one, "http://localhost:3000"),
            all(&one, "http://localhost:4000")
        );
        assert_ne!(all(&one, "echo"), all(&other, "echo"));
        assert_eq!(all(&one, "echo").len(), 1 + TRIES);
    }

    #[test]
    fn words_are_names_and_differ() {
        for words in [ADJECTIVES, ANIMALS] {
            let mut sorted = words.to_vec();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(sorted.len(), words.len());
            assert!(words.iter().all(|word| word.parse::<Name>().is_ok()));
        }
    }
}
