//! The form in which a visitor is told of failures is the same whether it says so in one field or in several.

use adit_relay::edge::answer::Form;

pub(crate) fn check(data: &[u8]) {
    let values: Vec<_> = data.split(|byte| *byte == b'\n').collect();
    let joined = values.join(&b","[..]);
    let together = Form::preferred([&joined[..]].into_iter());
    assert_eq!(Form::preferred(values.into_iter()), together);
}
