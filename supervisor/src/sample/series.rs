//! A series that stays small however long a run is.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

/// One point of the report's series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sample {
    /// Since the start of the run, in milliseconds.
    pub offset_ms: u64,
    /// Memory in bytes: what the control group charges, else the sum of resident memory.
    pub memory_bytes: u64,
    /// CPU time of the whole tree so far, in microseconds.
    pub cpu_usec: u64,
    /// CPU time per wall time since the sample before, in percent of one core.
    pub cpu_percent: f64,
    /// Processes and threads of the extension.
    pub tasks: u64,
    /// What `/data` holds, in bytes; absent without `/data`.
    pub disk_bytes: Option<u64>,
    /// Read from disks so far, in bytes; what a cache or tmpfs answered does not count.
    pub read_bytes: u64,
    /// Written to disks so far, in bytes.
    pub write_bytes: u64,
    /// Received through interfaces other than loopback so far, in bytes.
    pub net_in_bytes: u64,
    /// Sent through interfaces other than loopback so far, in bytes.
    pub net_out_bytes: u64,
}

/// The highest values of a run, over every sample that was ever taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peaks {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// CPU, in percent of one core.
    pub cpu_percent: f64,
    /// Processes and threads.
    pub tasks: u64,
    /// On `/data`, in bytes.
    pub disk_bytes: u64,
}

/// A bounded series. When it is full, pairs are merged and the interval doubles.
#[derive(Clone, Debug)]
pub struct Series {
    samples: Vec<Sample>,
    capacity: usize,
    interval: Duration,
    peaks: Peaks,
}

impl Series {
    /// Enough for a point in each second of the longest run of any tier.
    pub const CAPACITY: usize = 600;

    /// An empty series. `interval` is the distance of samples to begin with; `capacity` at least 2.
    #[must_use]
    pub fn new(interval: Duration, capacity: usize) -> Self {
        Self { samples: Vec::new(), capacity: capacity.max(2), interval, peaks: Peaks::default() }
    }

    /// Adds a sample, later than those before.
    pub fn push(&mut self, sample: Sample) {
        self.peaks.memory_bytes = self.peaks.memory_bytes.max(sample.memory_bytes);
        self.peaks.cpu_percent = self.peaks.cpu_percent.max(sample.cpu_percent);
        self.peaks.tasks = self.peaks.tasks.max(sample.tasks);
        self.peaks.disk_bytes = self.peaks.disk_bytes.max(sample.disk_bytes.unwrap_or(0));
        if self.samples.len() >= self.capacity {
            self.halve();
        }
        self.samples.push(sample);
    }

    /// The distance at which to take samples now.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// The samples, oldest first.
    #[must_use]
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The highest values, which merging never loses.
    #[must_use]
    pub fn peaks(&self) -> Peaks {
        self.peaks
    }

    fn halve(&mut self) {
        let mut before = Sample::default();
        let mut merged = Vec::with_capacity(self.capacity);
        for pair in self.samples.chunks(2) {
            let (Some(first), Some(last)) = (pair.first(), pair.last()) else { continue };
            let mut sample = Sample {
                memory_bytes: first.memory_bytes.max(last.memory_bytes),
                tasks: first.tasks.max(last.tasks),
                disk_bytes: first.disk_bytes.max(last.disk_bytes),
                ..*last
            };
            sample.cpu_percent = cpu_percent(&before, &sample);
            before = sample;
            merged.push(sample);
        }
        self.samples = merged;
        self.interval = self.interval.saturating_mul(2);
    }
}

/// CPU time per wall time between two samples, in percent of one core.
pub(super) fn cpu_percent(before: &Sample, now: &Sample) -> f64 {
    let wall = Duration::from_millis(now.offset_ms.saturating_sub(before.offset_ms));
    let cpu = Duration::from_micros(now.cpu_usec.saturating_sub(before.cpu_usec));
    if wall.is_zero() { 0.0 } else { cpu.as_secs_f64() / wall.as_secs_f64() * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample a second with 30 ms of CPU each; the 7th has a spike.
    fn sample(second: u64) -> Sample {
        let spike = second == 7;
        Sample {
            offset_ms: second * 1000,
            memory_bytes: if spike { 999 } else { second % 5 },
            cpu_usec: second * 30_000,
            cpu_percent: if spike { 150.0 } else { 3.0 },
            tasks: if spike { 77 } else { 1 },
            disk_bytes: spike.then_some(55),
            ..Sample::default()
        }
    }

    #[test]
    fn it_stays_bounded_and_loses_no_peak() {
        let mut series = Series::new(Duration::from_secs(1), 8);
        let mut due = 1;
        for second in 1..=1000 {
            if second == due {
                series.push(sample(second));
                due += series.interval().as_secs();
            }
            assert!(series.samples().len() <= 8);
        }
        let peaks = Peaks { memory_bytes: 999, cpu_percent: 150.0, tasks: 77, disk_bytes: 55 };
        assert_eq!(series.peaks(), peaks);
        assert!(series.samples().is_sorted_by_key(|sample| sample.offset_ms));
        // The spike is still the height of the point that covers it.
        assert_eq!(series.samples()[0].memory_bytes, 999);
        assert!(series.interval() >= Duration::from_secs(128), "{:?}", series.interval());
    }

    #[test]
    fn merged_cpu_is_the_mean_over_the_longer_span() {
        let mut series = Series::new(Duration::from_secs(1), 8);
        for second in 1..=9 {
            series.push(sample(second));
        }
        for sample in &series.samples()[..4] {
            assert!((sample.cpu_percent - 3.0).abs() < 1e-9, "{sample:?}");
        }
    }
}
