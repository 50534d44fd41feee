//! What of a command may be shown to others.

use bytes::Bytes;
use command::{Args, Spec};

const REDACTED: Bytes = Bytes::from_static(b"(redacted)");
/// Settings whose values are secret.
const SECRET_SETTINGS: [&str; 4] = ["masterauth", "masteruser", "requirepass", "tls-key-file-pass"];

/// The words of a command without passwords and secret settings.
pub fn redacted(spec: &Spec, mut words: Args) -> Args {
    let is = |word: &Bytes, what: &str| word.eq_ignore_ascii_case(what.as_bytes());
    match spec.name {
        "auth" => words[1..].fill(REDACTED),
        "hello" => {
            if let Some(at) = words.iter().position(|w| is(w, "auth")) {
                words.iter_mut().skip(at + 1).take(2).for_each(|w| *w = REDACTED);
            }
        }
        "config|set" => {
            for pair in words[2..].chunks_mut(2) {
                if let [name, value] = pair
                    && SECRET_SETTINGS.iter().any(|s| is(name, s))
                {
                    *value = REDACTED;
                }
            }
        }
        _ => {}
    }
    words
}

#[cfg(test)]
mod tests {
    use super::redacted;
    use bytes::Bytes;
    use command::Command;

    #[test]
    fn secrets_are_not_shown() {
        let check = |line: &str, expected: &str| {
            let words = line.split(' ').map(|w| Bytes::copy_from_slice(w.as_bytes()));
            let command = Command::parse(words.collect()).unwrap();
            let shown = redacted(command.spec, command.args);
            let shown: Vec<_> = shown.iter().map(|w| String::from_utf8_lossy(w)).collect();
            assert_eq!(shown.join(" "), expected);
        };
        check("auth a", "auth (redacted)");
        check("AUTH a b", "AUTH (redacted) (redacted)");
        check("hello 3 AUTH a b setname c", "hello 3 AUTH (redacted) (redacted) setname c");
        check("config set timeout 0 MasterAuth x", "config set timeout 0 MasterAuth (redacted)");
        check("set auth a", "set auth a");
    }
}
