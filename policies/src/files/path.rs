//! Names of files in a bundle: few enough characters that they mean the same everywhere.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{FILE_LIST, SIGNATURE};

/// Bytes of a path at most.
const MAX_PATH: usize = 255;
/// Bytes of one component at most.
const MAX_COMPONENT: usize = 100;
/// Components at most.
const MAX_DEPTH: usize = 32;

/// A path that no file of a bundle can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No text at all.
    #[error("the path is empty")]
    Empty,
    /// It begins with a slash.
    #[error("the path is absolute")]
    Absolute,
    /// Two slashes in a row, or one at the end.
    #[error("the path has an empty component")]
    EmptyComponent,
    /// A component `.`.
    #[error("the path has a component .")]
    Dot,
    /// A component `..`.
    #[error("the path has a component ..")]
    DotDot,
    /// A component that programs would take for an option.
    #[error("a component of the path begins with -")]
    LeadingDash,
    /// A character outside `A-Z a-z 0-9 . _ + - @ /`.
    #[error("byte {at} of the path is not one of A-Z a-z 0-9 . _ + - @ /")]
    Character {
        /// From 1.
        at: usize,
    },
    /// A component longer than 100 bytes.
    #[error("a component of the path is longer than 100 bytes")]
    ComponentTooLong,
    /// Longer than 255 bytes.
    #[error("the path is longer than 255 bytes")]
    TooLong,
    /// More than 32 components.
    #[error("the path has more than 32 components")]
    TooDeep,
    /// The list and its signature are not listed.
    #[error("the list and its signature are no files of the list")]
    Reserved,
    /// The same path twice.
    #[error("the path stands there twice")]
    Duplicate,
    /// It differs from another path in upper and lower case alone.
    #[error("the path differs from {other} in upper and lower case alone")]
    CaseClash {
        /// The other one, or a folder of it.
        other: String,
    },
    /// It would have to be a file and a folder.
    #[error("{path} is a file and a folder")]
    FileIsFolder {
        /// What is both.
        path: String,
    },
}

impl PathError {
    /// Stable, kebab-case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "path-empty",
            Self::Absolute => "path-absolute",
            Self::EmptyComponent => "path-empty-component",
            Self::Dot => "path-dot",
            Self::DotDot => "path-dot-dot",
            Self::LeadingDash => "path-leading-dash",
            Self::Character { .. } => "path-character",
            Self::ComponentTooLong => "path-component-too-long",
            Self::TooLong => "path-too-long",
            Self::TooDeep => "path-too-deep",
            Self::Reserved => "path-reserved",
            Self::Duplicate => "path-duplicate",
            Self::CaseClash { .. } => "path-case-clash",
            Self::FileIsFolder { .. } => "path-file-is-folder",
        }
    }
}

/// Whether a path can be one of a bundle's, looked at by itself.
///
/// # Errors
/// [`PathError`]; the first problem.
pub fn check_path(path: &[u8]) -> Result<&str, PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.starts_with(b"/") {
        return Err(PathError::Absolute);
    }
    let plain = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b'@' | b'/')
    };
    if let Some(at) = path.iter().position(|byte| !plain(byte)) {
        return Err(PathError::Character { at: at + 1 });
    }
    if path.len() > MAX_PATH {
        return Err(PathError::TooLong);
    }
    let mut depth = 0;
    for component in path.split(|byte| *byte == b'/') {
        depth += 1;
        match component {
            b"" => return Err(PathError::EmptyComponent),
            b"." => return Err(PathError::Dot),
            b".." => return Err(PathError::DotDot),
            [b'-', ..] => return Err(PathError::LeadingDash),
            long if long.len() > MAX_COMPONENT => return Err(PathError::ComponentTooLong),
            _ => {}
        }
    }
    if depth > MAX_DEPTH {
        return Err(PathError::TooDeep);
    }
    // Every byte is ASCII.
    std::str::from_utf8(path).map_err(|_| PathError::Character { at: 1 })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

/// Paths that can lie in one folder together, on any file system.
#[derive(Debug)]
pub struct Paths<'a> {
    /// By what a file system that ignores case would make of them.
    folded: HashMap<Cow<'a, str>, (&'a str, Kind)>,
}

impl<'a> Paths<'a> {
    /// None yet; the names of the list and of its signature are taken.
    #[must_use]
    pub fn new() -> Self {
        let reserved = [FILE_LIST, SIGNATURE];
        let folded = reserved.map(|name| (fold(name), (name, Kind::File))).into_iter();
        Self { folded: folded.collect() }
    }

    /// Checks a path by itself and against those before it.
    ///
    /// # Errors
    /// [`PathError`]; the path was not added.
    pub fn add(&mut self, path: &'a [u8]) -> Result<&'a str, PathError> {
        let path = check_path(path)?;
        if path == FILE_LIST || path == SIGNATURE {
            return Err(PathError::Reserved);
        }
        // From the innermost folder outwards: one that is known brings its own folders along.
        for (end, _) in path.rmatch_indices('/') {
            let folder = path.get(..end).unwrap_or_default();
            if !self.enter(folder, Kind::Folder)? {
                break;
            }
        }
        self.enter(path, Kind::File)?;
        Ok(path)
    }

    /// Whether it is new.
    fn enter(&mut self, path: &'a str, kind: Kind) -> Result<bool, PathError> {
        match self.folded.entry(fold(path)) {
            Entry::Vacant(vacant) => {
                vacant.insert((path, kind));
                Ok(true)
            }
            Entry::Occupied(occupied) => match *occupied.get() {
                (other, _) if other != path => {
                    Err(PathError::CaseClash { other: other.to_owned() })
                }
                (_, Kind::Folder) if kind == Kind::Folder => Ok(false),
                (_, Kind::File) if kind == Kind::File => Err(PathError::Duplicate),
                _ => Err(PathError::FileIsFolder { path: path.to_owned() }),
            },
        }
    }
}

/// Most paths are their own.
fn fold(path: &str) -> Cow<'_, str> {
    if path.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(path.to_ascii_lowercase())
    } else {
        Cow::Borrowed(path)
    }
}

impl Default for Paths<'_> {
    fn default() -> Self {
        Self::new()
    }
}
