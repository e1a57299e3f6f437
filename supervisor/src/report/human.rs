//! The report for people: a short table, usage against limits, violations in plain words.

use policies::limits::LimitKind;
use policies::reaction::ReactionAction;
use policies::violation::{Severity, Violation};

use crate::record::escape::visible;
use crate::record::reactions::{Effect, sentence};
use crate::record::sink::aim;
use crate::report::style::{Style, fit};
use crate::report::{LimitReport, RecordingOf, RecordingStatus, Report};

/// Cells of a bar.
const BAR: u32 = 20;
/// Kinds of violations that are listed; the rest is counted.
const LISTED: usize = 60;

/// The whole report, with a newline at the end of each line. Whatever the extension chose (names, paths) is escaped.
#[must_use]
pub fn render(report: &Report, style: Style) -> String {
    let mut lines = Vec::new();
    head(report, style, &mut lines);
    for limit in &report.limits {
        lines.push(limit_line(limit, style));
    }
    network(report, style, &mut lines);
    lines.push(String::new());
    violations(report, style, &mut lines);
    reactions(report, style, &mut lines);
    recording("seccomp", &report.recording.seccomp, style, &mut lines);
    recording("landlock", &report.recording.landlock, style, &mut lines);
    recording("egress", &report.recording.egress, style, &mut lines);
    let log = &report.recording.audit_log;
    if log.lost > 0 {
        let why =
            log.reason.as_deref().map_or_else(String::new, |why| format!(": {}", visible(why)));
        let line =
            fit(&format!("  {} events are not in the audit log{why}", log.lost), style.width);
        lines.push(style.severity(Severity::Warning, &line));
    }
    let processes = report.recording.landlock_processes.as_ref();
    if let Some(processes) = processes.filter(|processes| processes.lost > 0) {
        let lost = processes.lost;
        let why = processes.reason.as_deref().unwrap_or_default();
        let line = fit(&format!("  the process of {lost} denials is unknown: {why}"), style.width);
        lines.push(style.severity(Severity::Warning, &line));
    }
    if let Some(forward) = report.recording.forward.as_ref().filter(|forward| forward.lost > 0) {
        let lost = forward.lost;
        let why = forward.reason.as_deref().unwrap_or_default();
        let line =
            fit(&format!("  {lost} events were not forwarded: {}", visible(why)), style.width);
        lines.push(style.severity(Severity::Warning, &line));
    }
    if report.recording.failed_writes > 0 {
        let failed = report.recording.failed_writes;
        lines.push(format!("  {failed} lines could not be written while it ran"));
    }
    lines.push(String::new());
    lines.join("\n")
}

fn head(report: &Report, style: Style, lines: &mut Vec<String>) {
    let extension = &report.extension;
    let dev = if report.dev { ", dev" } else { "" };
    let title = format!(
        "{} {} ({}{dev}, isolation {})",
        visible(&extension.id),
        visible(&extension.version),
        visible(&report.tier),
        report.isolation.name()
    );
    lines.push(style.bold(&fit(&title, style.width)));
    let time = milliseconds(report.usage.execution_time_ms);
    let end = format!("  {} after {time}, run {}", visible(&report.result.reason), report.run_id);
    lines.push(fit(&end, style.width));
    lines.push(String::new());
}

fn limit_line(limit: &LimitReport, style: Style) -> String {
    let most = exact(limit.limit);
    let full = (1..=BAR).filter(|cell| limit.used * f64::from(BAR) >= most * f64::from(*cell));
    let bar = (1..=BAR).zip(full.map(Some).chain(std::iter::repeat(None)));
    let bar: String = bar.map(|(_, full)| if full.is_some() { '#' } else { '.' }).collect();
    let amount = match limit.kind {
        LimitKind::Timeout => {
            format!("{} / {} s", seconds(limit.used), seconds(exact(limit.limit)))
        }
        _ => format!("{} / {} {}", short(limit.used), limit.limit, visible(&limit.unit)),
    };
    let hits = match limit.hits {
        0 => String::new(),
        1 => "  hit once".to_owned(),
        hits => format!("  hit {hits} times"),
    };
    let line = format!(
        "  {:<8} [{bar}]  {amount:<16} {}{hits}",
        limit.kind.name(),
        limit.enforcement.name()
    );
    let line = fit(&line, style.width);
    if limit.hits > 0 { style.severity(Severity::Warning, &line) } else { line }
}

fn network(report: &Report, style: Style, lines: &mut Vec<String>) {
    for (place, flow) in report.network.domains.iter().enumerate() {
        let others = [(flow.refused, "refused"), (flow.failed, "failed")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!(", {count} {what}"));
        let line = format!(
            "  {:<8} {}:{}  {} in, {} out, {} connection{}{}",
            if place == 0 { "network" } else { "" },
            visible(&flow.domain),
            flow.port,
            bytes(flow.bytes_in),
            bytes(flow.bytes_out),
            flow.connections,
            if flow.connections == 1 { "" } else { "s" },
            others.collect::<String>()
        );
        lines.push(fit(&line, style.width));
    }
}

fn violations(report: &Report, style: Style, lines: &mut Vec<String>) {
    let totals = &report.violation_totals;
    if totals.total == 0 {
        lines.push("  no violations".to_owned());
        return;
    }
    let by = &totals.by_severity;
    let parts: Vec<String> =
        [(by.critical, "critical"), (by.warning, "warning"), (by.info, "harmless")]
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
    lines.push(format!("  violations: {}", parts.join(", ")));
    let mut sorted: Vec<&Violation> = report.violations.iter().collect();
    sorted.sort_by(|a, b| (b.severity, b.count, a.seq).cmp(&(a.severity, a.count, b.seq)));
    let digits = sorted.iter().map(|v| v.count.to_string().len()).max().unwrap_or(1);
    for violation in sorted.iter().take(LISTED) {
        let severity = match violation.severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "CRITICAL",
        };
        let who = violation
            .process
            .comm
            .as_deref()
            .map_or_else(String::new, |comm| format!(" ({})", visible(comm)));
        let text = format!("{}: {}{who}", violation.code.words(), aim(violation));
        // Indent, severity, count, and two spaces between them.
        let room = style.width.saturating_sub(4 + 8 + 2 + digits + 1 + 2);
        lines.push(format!(
            "    {}  {:>digits$}x  {}",
            style.severity(violation.severity, &format!("{severity:<8}")),
            violation.count,
            fit(&text, room)
        ));
    }
    if let Some(more) = sorted.len().checked_sub(LISTED).filter(|more| *more > 0) {
        lines.push(format!("    and {more} more kinds, see the JSON report"));
    }
}

fn reactions(report: &Report, style: Style, lines: &mut Vec<String>) {
    for reacted in &report.reactions {
        let reaction = &reacted.reaction;
        let effect = match (reaction.action, reacted.effect, reacted.disabled) {
            (ReactionAction::Warn, ..) => "warning",
            (ReactionAction::Kill, Effect::Late, _) => "condemned after its end",
            (ReactionAction::Kill, ..) => "killed",
            (ReactionAction::Disable, _, true) => "killed and disabled",
            (ReactionAction::Disable, _, false) => "killed, but NOT disabled",
        };
        let line = fit(&format!("  reaction: {effect}: {}", sentence(reaction)), style.width);
        let severity =
            if reaction.action.ends_run() { Severity::Critical } else { Severity::Warning };
        lines.push(style.severity(severity, &line));
    }
}

fn recording(layer: &str, of: &RecordingOf, style: Style, lines: &mut Vec<String>) {
    let what = match of.status {
        RecordingStatus::Complete => return,
        RecordingStatus::Incomplete if of.lost > 0 => {
            format!("{} denials of {layer} are not listed", of.lost)
        }
        RecordingStatus::Incomplete => format!("denials of {layer} may be missing"),
        RecordingStatus::Unavailable => format!("denials of {layer} were not recorded"),
    };
    let why = of.reason.as_deref().map_or_else(String::new, |why| format!(": {}", visible(why)));
    let line = fit(&format!("  {what}{why}"), style.width);
    lines.push(style.severity(Severity::Warning, &line));
}

/// Beyond 32 bits a bar is full or empty anyway.
fn exact(value: u64) -> f64 {
    u32::try_from(value).map_or(f64::MAX, f64::from)
}

fn short(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn seconds(milliseconds: f64) -> String {
    let seconds = milliseconds / 1000.0;
    if seconds < 9.95 { format!("{seconds:.2}") } else { format!("{seconds:.0}") }
}

fn milliseconds(value: u64) -> String {
    if value < 1000 { format!("{value} ms") } else { format!("{} s", seconds(exact(value))) }
}

fn bytes(value: u64) -> String {
    let (mut whole, mut rest) = (value, 0);
    let mut units = ["bytes", "KB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next();
    while whole >= 1024 && unit.is_some() {
        (whole, rest) = (whole / 1024, whole % 1024);
        unit = units.next();
    }
    let unit = unit.unwrap_or("PB");
    if value < 1024 || whole >= 10 {
        format!("{whole} {unit}")
    } else {
        format!("{whole}.{} {unit}", rest * 10 / 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KB");
        assert_eq!(bytes(20 * 1024 * 1024), "20 MB");
        assert_eq!(bytes(u64::MAX), "16383 PB");
        assert_eq!(milliseconds(999), "999 ms");
        assert_eq!(milliseconds(1234), "1.23 s");
        assert_eq!(short(9.94), "9.9");
        assert_eq!(short(130.4), "130");
    }
}
