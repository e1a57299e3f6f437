//! The stable codes of diagnostics.

macro_rules! diagnostic_codes {
    ($($name:ident = $text:literal, $doc:literal;)+) => {
        /// The codes, by name.
        pub mod code {
            $(#[doc = $doc] pub const $name: &str = $text;)+
        }

        /// Every code with what it means.
        pub const CODES: &[(&str, &str)] = &[$(($text, $doc),)+];
    };
}

diagnostic_codes! {
    FILE_TOO_LARGE = "file-too-large", "The file is larger than any such file needs to be.";
    NOT_UTF8 = "not-utf8", "A byte is not valid UTF-8.";
    NESTING_TOO_DEEP = "nesting-too-deep", "Brackets are nested deeper than the format ever needs.";
    SYNTAX = "syntax", "The text is not TOML.";
    DUPLICATE_KEY = "duplicate-key", "A key stands twice in one table.";
    UNKNOWN_KEY = "unknown-key", "A key that the format does not have.";
    MISSING_KEY = "missing-key", "A key that the format requires is absent.";
    WRONG_TYPE = "wrong-type", "A value has another type than its key asks for.";
    NOT_A_WHOLE_NUMBER = "not-a-whole-number", "A number has a fraction, or is inf or nan.";
    NUMBER_OUT_OF_RANGE = "number-out-of-range", "A number is zero, negative or too large for its key.";
    LIMIT_ABOVE_TIER = "limit-above-tier", "A limit is higher than the tier gives.";
    UNKNOWN_VALUE = "unknown-value", "A word that is none of the words of its key.";
    BAD_ID = "bad-id", "An extension id that is not publisher.name in [a-z0-9.-].";
    PUBLISHER_MISMATCH = "publisher-mismatch", "The id does not begin with the publisher.";
    BAD_VERSION = "bad-version", "A version that is not a semantic version.";
    BAD_TEXT = "bad-text", "A text is empty, too long, or has control or direction-changing characters.";
    UNKNOWN_PERMISSION = "unknown-permission", "A permission that does not exist.";
    DUPLICATE_ENTRY = "duplicate-entry", "A list says the same thing twice.";
    TOO_MANY_ENTRIES = "too-many-entries", "A list is longer than any such list needs to be.";
    BAD_COMMAND = "bad-command", "The entry command is empty or has a NUL byte.";
    BAD_ENV_NAME = "bad-env-name", "A name that no environment variable can have.";
    RESERVED_ENV_NAME = "reserved-env-name", "An environment variable that the sandbox sets itself.";
    BAD_ENV_VALUE = "bad-env-value", "A value that no environment variable can have.";
    BAD_PATH = "bad-path", "A path that is not absolute, or has empty, . or .. parts, or control characters.";
    UNSUPPORTED_GLOB = "unsupported-glob", "A pattern other than dir/* and dir/**.";
    BAD_DOMAIN = "bad-domain", "A domain that is not a host name, host:port or *.host.";
    UNKNOWN_FILE = "unknown-file", "A policy file that the product does not have.";
    UNKNOWN_GROUP = "unknown-group", "A group of system calls that no file describes.";
    UNKNOWN_SYSCALL = "unknown-syscall", "A system call that x86-64 does not have.";
    DUPLICATE_SYSCALL = "duplicate-syscall", "Two policy lines contradict or repeat each other.";
    REQUIRED_SYSCALL_MISSING = "required-syscall-missing", "A system call that the launch itself needs is not allowed.";
    FORBIDDEN_SYSCALL = "forbidden-syscall", "A system call that would hide denials from the record is allowed.";
    BAD_ARGUMENT_TEST = "bad-argument-test", "A test of an argument that cannot be evaluated or never holds.";
}
