//! The compiled plan as bytes: what the supervisor writes and the shim applies.
//!
//! Little-endian, length-prefixed, in the order in which it is used, so that the shim reads it once, front to back, and
//! allocates nothing. Strings carry their terminating NUL, because the shim hands them to the kernel as they are.

/// Version of this format; both sides are built from one tree, so a difference is a build error made visible.
pub const VERSION: u32 = 1;

/// The largest plan. Bounded by what one datagram can carry with default socket buffers.
pub const MAX_PLAN: usize = 128 * 1024;

/// Descriptor of the control socket in the shim.
pub const CONTROL_FD: i32 = 3;

/// First of the descriptors that a plan refers to by position.
pub const FIRST_PLAN_FD: i32 = 4;

/// Tags of the tree operations.
pub mod tree {
    /// `mode:u32 path`
    pub const DIR: u8 = 1;
    /// `path text`
    pub const FILE: u8 = 2;
    /// `path to`
    pub const SYMLINK: u8 = 3;
    /// `flags:u32 source path`: bind a host path.
    pub const BIND_PATH: u8 = 4;
    /// `flags:u32 fd:u32 path`: attach a detached mount, whose attributes are set already.
    pub const ATTACH: u8 = 5;
    /// `path`: proc of the new pid namespace.
    pub const PROC: u8 = 6;
    /// `major:u32 minor:u32 path host-path`: a device node, or a bind of the host's where nodes cannot be made.
    pub const NODE: u8 = 7;
    /// `path`: hide a file or directory; nothing where it does not exist.
    pub const MASK: u8 = 8;
    /// `dir:u32 path`: an empty entry that nothing needs; nothing where something exists.
    pub const TRIPWIRE: u8 = 9;
    /// End of the list.
    pub const END: u8 = 0;
}

/// Flags of a bind.
pub mod bind {
    /// May be written.
    pub const WRITE: u32 = 1;
    /// Programs may be executed from it.
    pub const EXEC: u32 = 2;
    /// The source is a directory.
    pub const DIR: u32 = 4;
}

/// A plan that ends early or says what it must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A string with its NUL, as the kernel wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str<'a>(&'a [u8]);

impl<'a> Str<'a> {
    /// The bytes, the terminating NUL included.
    #[must_use]
    pub const fn with_nul(self) -> &'a [u8] {
        self.0
    }

    /// The bytes without the NUL.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0.split_last().map_or(&[], |(_, text)| text)
    }
}

/// Reads a plan front to back.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes` and checks the version.
    ///
    /// # Errors
    /// [`Malformed`] where the version differs.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Self { rest: bytes };
        if reader.u32()? == VERSION { Ok(reader) } else { Err(Malformed) }
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`Malformed`] where fewer are left.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed`] at the end.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// Four bytes.
    ///
    /// # Errors
    /// [`Malformed`] near the end.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.take(4)?;
        Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// [`Malformed`] near the end.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        let (low, high) = (self.u32()?, self.u32()?);
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// A length and that many bytes.
    ///
    /// # Errors
    /// [`Malformed`] where fewer are left.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.u32()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    /// A string that ends in its only NUL.
    ///
    /// # Errors
    /// [`Malformed`] where it does not.
    pub fn str(&mut self) -> Result<Str<'a>, Malformed> {
        let bytes = self.bytes()?;
        match bytes.iter().position(|&byte| byte == 0) {
            Some(end) if end + 1 == bytes.len() => Ok(Str(bytes)),
            _ => Err(Malformed),
        }
    }
}

/// Writes a plan; the supervisor's side of [`Reader`].
#[cfg(any(test, feature = "encode"))]
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
}

#[cfg(any(test, feature = "encode"))]
impl Writer {
    /// An empty plan with its version.
    #[must_use]
    pub fn new() -> Self {
        let mut writer = Self { bytes: Vec::with_capacity(16 * 1024) };
        writer.u32(VERSION);
        writer
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes.push(value);
        self
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// A length and bytes. Longer than `u32::MAX` cannot pass [`MAX_PLAN`], which [`Writer::finish`] checks.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(value);
        self
    }

    /// A string, NUL appended. One with a NUL inside is refused by the reader.
    pub fn str(&mut self, value: &[u8]) -> &mut Self {
        self.u32(u32::try_from(value.len() + 1).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(value);
        self.u8(0)
    }

    /// A count, then each item by `write`.
    pub fn list<T>(
        &mut self,
        items: impl ExactSizeIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for item in items {
            write(self, item);
        }
        self
    }

    /// The finished bytes; `None` where they exceed [`MAX_PLAN`].
    #[must_use]
    pub fn finish(self) -> Option<Vec<u8>> {
        (self.bytes.len() <= MAX_PLAN).then_some(self.bytes)
    }
}

#[cfg(any(test, feature = "encode"))]
impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::new();
        writer.u8(7).u32(1 << 30).u64(u64::MAX - 1).str(b"/usr").bytes(&[1, 0, 2]);
        let bytes = writer.finish().unwrap();
        let mut reader = Reader::new(&bytes).unwrap();
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.u32(), Ok(1 << 30));
        assert_eq!(reader.u64(), Ok(u64::MAX - 1));
        assert_eq!(reader.str().unwrap().bytes(), b"/usr");
        assert_eq!(reader.bytes(), Ok(&[1, 0, 2][..]));
        assert_eq!(reader.u8(), Err(Malformed));
    }

    #[test]
    fn a_plan_cut_anywhere_is_refused() {
        let mut writer = Writer::new();
        writer.str(b"abc").u64(3);
        let bytes = writer.finish().unwrap();
        for end in 0..bytes.len() {
            let read = Reader::new(&bytes[..end]).and_then(|mut reader| {
                reader.str()?;
                reader.u64()
            });
            assert_eq!(read, Err(Malformed), "cut at {end}");
        }
    }

    #[test]
    fn a_string_with_a_nul_inside_is_refused() {
        let mut writer = Writer::new();
        writer.str(b"a\0b");
        let bytes = writer.finish().unwrap();
        assert_eq!(Reader::new(&bytes).unwrap().str(), Err(Malformed));
    }

    #[test]
    fn an_oversized_plan_is_refused() {
        let mut writer = Writer::new();
        writer.bytes(&vec![0; MAX_PLAN]);
        assert!(writer.finish().is_none());
    }
}
