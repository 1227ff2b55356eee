//! What a DNS server answers has no more addresses than there is room for, and is believed only if it is signed.

use adit_relay::acme::dns::message::{Answer, Family, Name, question};
use adit_relay::acme::dns::tsig::{Algorithm, Key};

const NOW: u64 = 1_800_000_000;

pub(crate) fn check(data: &[u8]) {
    let name = Name::parse("app.customer.example").expect("a name");
    if let Some(answer) = Answer::read(data) {
        assert!(answer.addresses().len() <= data.len() / 15);
        assert!(answer.code < 16);
        assert_eq!(answer.id.to_be_bytes()[..], data[..2]);
        assert!(data[2] & 0x80 != 0);
        // An answer to its own question is none: the bit that makes it one is missing.
        let mut asked = data.to_vec();
        asked[2] &= 0x7f;
        assert!(Answer::read(&asked).is_none());
    }
    for algorithm in [
        Algorithm::HmacSha256,
        Algorithm::HmacSha384,
        Algorithm::HmacSha512,
    ] {
        let key = Key::new(name.clone(), algorithm, b"a secret of nobody");
        let mut asked = question(9, &name, Family::V6);
        let request = key.sign(&mut asked, NOW);
        assert!(key.verify(data, &request, NOW).is_err());
        // Nor is the question itself an answer, though it is signed.
        assert!(key.verify(&asked, &request, NOW).is_err());
    }
}
