//! Signed notes and the checkpoints that they carry, in the form of <https://c2sp.org/signed-note> and
//! <https://c2sp.org/tlog-checkpoint>, so that a witness that knows those can keep ours.

use std::fmt::Write as _;

use base64ct::{Base64, Encoding};

use super::key::VerifyKey;
use super::line::Head;

/// No note of ours comes near it.
const LONGEST: usize = 64 * 1024;

/// A text and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// With a newline at its end.
    pub text: String,
    /// At least one.
    pub signatures: Vec<Signature>,
}

/// One signature line of a note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Name of the key.
    pub name: String,
    /// Identifies the key together with its name.
    pub id: [u8; 4],
    /// The signature.
    pub bytes: Vec<u8>,
}

/// What a note is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not the form of a signed note.
    #[error("this is no signed note")]
    Form,
    /// A note, but no checkpoint.
    #[error("the note is no checkpoint: origin, size and head are its first three lines")]
    Checkpoint,
}

impl Note {
    /// Reads a note.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let text = str::from_utf8(bytes).map_err(|_| NoteError::Form)?;
        let is_control = |c: char| c < ' ' && c != '\n';
        if text.len() > LONGEST || text.contains(is_control) {
            return Err(NoteError::Form);
        }
        let (body, lines) = text.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        let signatures: Option<Vec<_>> = lines.split('\n').map(signature).collect();
        let signatures = signatures.ok_or(NoteError::Form)?;
        Ok(Self { text: format!("{body}\n"), signatures })
    }

    /// The note as text.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = format!("{}\n", self.text);
        for signature in &self.signatures {
            let mut bytes = signature.id.to_vec();
            bytes.extend_from_slice(&signature.bytes);
            // Writing to a String cannot fail.
            writeln!(text, "\u{2014} {} {}", signature.name, Base64::encode_string(&bytes))
                .unwrap_or_default();
        }
        text
    }

    /// Whether one of the keys signed this text. A signature by one of them that is wrong spoils the note.
    #[must_use]
    pub fn signed_by(&self, keys: &[VerifyKey]) -> Signed {
        let mut signed = Signed::ByNobodyKnown;
        for signature in &self.signatures {
            for key in keys {
                if key.name() != signature.name || key.id() != signature.id {
                    continue;
                }
                if !key.verify(self.text.as_bytes(), &signature.bytes) {
                    return Signed::Wrongly;
                }
                signed = Signed::Rightly;
            }
        }
        signed
    }
}

/// What the signatures of a note are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signed {
    /// A known key signed it.
    Rightly,
    /// A signature that claims to be by a known key is not.
    Wrongly,
    /// No known key is named.
    ByNobodyKnown,
}

fn signature(line: &str) -> Option<Signature> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '+') {
        return None;
    }
    let bytes = Base64::decode_vec(encoded).ok()?;
    let (id, bytes) = bytes.split_first_chunk::<4>()?;
    Some(Signature { name: name.to_owned(), id: *id, bytes: bytes.to_vec() })
}

/// What a log had come to: its first `size` events end in `head`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: String,
    /// Number of the last event.
    pub size: u64,
    /// `h` of that event.
    pub head: Head,
    /// More lines, as words: `segment 2026-11-23T20-000001.jsonl`.
    pub more: Vec<(String, String)>,
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    /// [`NoteError::Checkpoint`].
    pub fn parse(note: &Note) -> Result<Self, NoteError> {
        let parse = || {
            let mut lines = note.text.strip_suffix('\n')?.split('\n');
            let origin = lines.next().filter(|origin| !origin.is_empty())?.to_owned();
            let size = lines.next()?;
            let (number, rest) = super::line::number(size.as_bytes())?;
            let mut head = [0; 32];
            if !rest.is_empty() || Base64::decode(lines.next()?, &mut head).ok()?.len() != 32 {
                return None;
            }
            let word = |line: &str| {
                let (key, value) = line.split_once(' ')?;
                Some((key.to_owned(), value.to_owned()))
            };
            let more: Option<Vec<_>> = lines.map(word).collect();
            Some(Self { origin, size: number, head: Head::from_bytes(&head), more: more? })
        };
        parse().ok_or(NoteError::Checkpoint)
    }

    /// The text to sign.
    #[must_use]
    pub fn text(&self) -> String {
        let head = Base64::encode_string(&self.head.bytes());
        let mut text = format!("{}\n{}\n{head}\n", self.origin, self.size);
        for (key, value) in &self.more {
            writeln!(text, "{key} {value}").unwrap_or_default();
        }
        text
    }

    /// A line beyond the first three.
    #[must_use]
    pub fn line(&self, key: &str) -> Option<&str> {
        self.more.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the signed-note specification.
    #[test]
    fn the_example_of_the_specification() {
        let text = "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n\u{2014} quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
        let note = Note::parse(text.as_bytes()).expect("note");
        assert!(note.text.ends_with("sera.\n"), "{}", note.text);
        assert_eq!(note.signatures[0].bytes.len(), 64);
        assert_eq!(note.render(), text);
        assert_eq!(Checkpoint::parse(&note), Err(NoteError::Checkpoint));
    }

    #[test]
    fn checkpoints() {
        let head = Head::parse("ab".repeat(32).as_bytes()).expect("head");
        let more = vec![("segment".to_owned(), "x.jsonl".to_owned())];
        let checkpoint = Checkpoint { origin: "log/1".to_owned(), size: 12, head, more };
        let note = Note { text: checkpoint.text(), signatures: Vec::new() };
        assert_eq!(Checkpoint::parse(&note), Ok(checkpoint.clone()));
        assert_eq!(checkpoint.line("segment"), Some("x.jsonl"));
        for bad in ["", "log/1\n", "log/1\n012\nq6ur\n", "log/1\n1\nq6ur\n", "\n1\nq6ur\n"] {
            let note = Note { text: bad.to_owned(), signatures: Vec::new() };
            assert_eq!(Checkpoint::parse(&note), Err(NoteError::Checkpoint), "{bad}");
        }
    }

    #[test]
    fn what_is_no_note() {
        for bad in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n- name AAAAAAAA\n",
            "text\n\n\u{2014} name AAAAAAAA",
            "text\n\n\u{2014} na+me AAAAAAAA\n",
            "text\n\n\u{2014} name AAA\n",
            "te\txt\n\n\u{2014} name AAAAAAAA\n",
        ] {
            assert_eq!(Note::parse(bad.as_bytes()), Err(NoteError::Form), "{bad}");
        }
        assert!(Note::parse("text\n\n\u{2014} name AAAAAAAA\n".as_bytes()).is_ok());
    }
}
