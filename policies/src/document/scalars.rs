//! Truth values, numbers and words.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use crate::diag::code;
use crate::document::{Found, Reader, Section, shorten};

impl Reader<'_> {
    /// A truth value.
    pub(crate) fn truth(&mut self, section: Section<'_, '_>, key: &str) -> Option<bool> {
        let value = section.table?.get(key)?;
        let found = value.get_ref().as_bool();
        if found.is_none() {
            self.wrong_type(value.span(), key, "true or false", value.get_ref());
        }
        found
    }

    /// A whole number from `min` to `max`; absent is no problem.
    pub(crate) fn number(
        &mut self,
        section: Section<'_, '_>,
        key: &str,
        range: RangeInclusive<u64>,
    ) -> Option<Found<u64>> {
        let value = section.table?.get(key)?;
        let span = value.span();
        let integer = match value.get_ref() {
            DeValue::Integer(integer) => integer,
            DeValue::Float(float) => {
                let message = format!("`{key}` is {}, not a whole number", shorten(float.as_str()));
                self.report(span, code::NOT_A_WHOLE_NUMBER, message, "");
                return None;
            }
            other => {
                self.wrong_type(span, key, "a whole number", other);
                return None;
            }
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        if let Some(value) = number.filter(|number| range.contains(number)) {
            return Some(Found { value, span });
        }
        let shown = integer.to_string();
        let message = format!("`{key}` is {}, out of range", shorten(&shown));
        let hint = format!("from {} to {}", range.start(), range.end());
        self.report(span, code::NUMBER_OUT_OF_RANGE, message, hint);
        None
    }

    /// One of a few words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        section: Section<'_, '_>,
        key: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let found = self.text(section, key)?;
        let value = words.iter().find(|(word, _)| *word == found.value);
        if value.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let message = format!("`{key}` is \"{}\"", shorten(found.value));
            let hint = format!("one of {}", known.join(", "));
            self.report(found.span, code::UNKNOWN_VALUE, message, hint);
        }
        value.map(|(_, value)| *value)
    }
}
