//! What extensions used, as the host application or a run reports it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::act::Editor;
use super::error::refused;
use super::{Registry, RegistryError};

/// Older entries of an extension go when it gets a new one, as old audit records do.
const KEPT: Duration = Duration::from_hours(365 * 24);

/// What one execution of an extension used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Which extension.
    pub extension_id: String,
    /// Microseconds since the epoch.
    pub timestamp_us: i64,
    /// Peak, in MiB.
    pub memory_used_mb: f64,
    /// Of one core.
    pub cpu_percentage: f64,
    /// In MiB.
    pub disk_used_mb: f64,
    /// Received.
    pub network_bytes_in: u64,
    /// Sent.
    pub network_bytes_out: u64,
    /// Wall clock, in milliseconds.
    pub execution_time_ms: u64,
    /// Requests to the host application.
    pub request_count: u64,
    /// Requests that failed.
    pub error_count: u64,
}

impl Usage {
    /// Nothing used at a time.
    #[must_use]
    pub fn at(extension_id: &str, timestamp: SystemTime) -> Self {
        Self {
            extension_id: extension_id.to_owned(),
            timestamp_us: micros(timestamp),
            memory_used_mb: 0.0,
            cpu_percentage: 0.0,
            disk_used_mb: 0.0,
            network_bytes_in: 0,
            network_bytes_out: 0,
            execution_time_ms: 0,
            request_count: 0,
            error_count: 0,
        }
    }

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            extension_id: row.get(0)?,
            timestamp_us: row.get(1)?,
            memory_used_mb: row.get(2)?,
            cpu_percentage: row.get(3)?,
            disk_used_mb: row.get(4)?,
            network_bytes_in: row.get(5)?,
            network_bytes_out: row.get(6)?,
            execution_time_ms: row.get(7)?,
            request_count: row.get(8)?,
            error_count: row.get(9)?,
        })
    }
}

fn micros(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

impl Editor {
    /// Keeps what an extension used. Two entries of one extension at the same microsecond are one: the later one holds.
    /// Usage is a measurement and no act, so it is not in the audit log.
    ///
    /// # Errors
    /// [`RegistryError::Database`]; [`RegistryError::Refused`] for numbers that are negative or not finite.
    pub fn record_usage(&mut self, usage: &Usage) -> Result<(), RegistryError> {
        let numbers = [usage.memory_used_mb, usage.cpu_percentage, usage.disk_used_mb];
        if numbers.iter().any(|number| !number.is_finite() || *number < 0.0) {
            let hint = "memory, CPU and disk are finite and not negative";
            return Err(refused("record the usage", format!("{numbers:?} is no usage"), hint));
        }
        let failed = self.failed("write");
        let tx = self.transaction(TransactionBehavior::Immediate).map_err(&failed)?;
        let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
        tx.execute(
            "DELETE FROM usage WHERE ext_id = ?1 AND at_us < ?2",
            params![usage.extension_id, usage.timestamp_us.saturating_sub(kept)],
        )
        .map_err(&failed)?;
        tx.execute(
            "INSERT OR REPLACE INTO usage(ext_id, at_us, memory_used_mb, cpu_percentage, disk_used_mb, \
             network_bytes_in, network_bytes_out, execution_time_ms, request_count, error_count) \
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            params![
                usage.extension_id,
                usage.timestamp_us,
                usage.memory_used_mb,
                usage.cpu_percentage,
                usage.disk_used_mb,
                usage.network_bytes_in,
                usage.network_bytes_out,
                usage.execution_time_ms,
                usage.request_count,
                usage.error_count
            ],
        )
        .map_err(&failed)?;
        tx.commit().map_err(&failed)
    }
}

impl Registry {
    /// What an extension used, the latest first, at most `most` entries.
    ///
    /// # Errors
    /// [`RegistryError::Database`].
    pub fn usage(&self, id: &str, most: u32) -> Result<Vec<Usage>, RegistryError> {
        let sql = "SELECT ext_id, at_us, memory_used_mb, cpu_percentage, disk_used_mb, network_bytes_in, \
                   network_bytes_out, execution_time_ms, request_count, error_count FROM usage \
                   WHERE ext_id = ?1 ORDER BY at_us DESC LIMIT ?2";
        self.all(sql, params![id, most], Usage::read)
    }
}
