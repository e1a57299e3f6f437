//! The error numbers that a policy file may name.
//!
//! # References
//! - [Linux: errno(3)](https://man7.org/linux/man-pages/man3/errno.3.html); the values are those of the generic table,
//!   which x86-64 uses

macro_rules! errnos {
    ($($name:ident = $value:literal;)+) => {
        $(#[doc = concat!("`", stringify!($name), "`")] pub const $name: u16 = $value;)+

        /// The number of a named errno.
        #[must_use]
        pub fn number(name: &str) -> Option<u16> {
            match name { $(stringify!($name) => Some($value),)+ _ => None }
        }

        /// The name of an errno, of those that a policy file may use.
        #[must_use]
        pub const fn name(number: u16) -> Option<&'static str> {
            match number { $($value => Some(stringify!($name)),)+ _ => None }
        }
    };
}

errnos! {
    EPERM = 1;
    ENOENT = 2;
    EAGAIN = 11;
    ENOMEM = 12;
    EACCES = 13;
    EINVAL = 22;
    ENOSYS = 38;
    EPROTONOSUPPORT = 93;
    EOPNOTSUPP = 95;
    EAFNOSUPPORT = 97;
}
