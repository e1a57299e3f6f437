//! Order statistics of a series.

/// A series, ascending.
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Sorts the values; there must be one at least.
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        assert!(!values.is_empty(), "a series without values");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value below which `percent` of the series lie, by nearest rank.
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() - 1) * percent / 100]
    }

    /// The middle.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// How many values.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}
