//! Every attempt of one run, aggregated by code and object, and by process where the attempt names one to tell apart: exact
//! counts in bounded memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::time::SystemTime;

use policies::reaction::Reaction;
use policies::violation::{Action, Argument, Code, Layer, Object, Process, Severity, Violation};

use crate::record::bucket::TokenBucket;
use crate::record::clock::{Now, rfc3339};
use crate::record::object::ObjectRef;
use crate::record::reactions::{Reacted, Reactions};
use crate::record::sink::{Moment, Sink};

/// The bounds of a ledger.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Distinct (code, object) pairs that are kept; what comes later is counted in one overflow entry a code.
    pub keys: usize,
    /// Bytes of text (paths above all) that the kept objects may hold together.
    pub text: usize,
    /// Lines written at once.
    pub line_burst: u32,
    /// Lines written a second after that.
    pub lines_per_second: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { keys: 1000, text: 512 * 1024, line_burst: 50, lines_per_second: 20 }
    }
}

/// One attempt, or `count` equal ones.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// When.
    pub at: Now,
    /// Stable code.
    pub code: Code,
    /// Severity by the policy line.
    pub severity: Severity,
    /// What was done.
    pub action: Action,
    /// The policy line that decided.
    pub rule: &'a str,
    /// What it was aimed at.
    pub object: ObjectRef<'a>,
    /// Argument registers; empty unless a system call.
    pub args: &'a [u64],
    /// The process, where attempts of each process are kept apart.
    pub by: Option<i32>,
    /// How many attempts this is; at least 1.
    pub count: u64,
}

/// What is found out about the first attempt of a kind only.
#[derive(Debug, Default)]
pub struct Details {
    /// Who tried.
    pub process: Process,
    /// Arguments of a system call in words.
    pub arguments: Vec<Argument>,
}

#[derive(Debug)]
struct Entry {
    code: Code,
    severity: Severity,
    action: Action,
    rule: String,
    object: Object,
    args: Vec<u64>,
    by: Option<i32>,
    details: Details,
    first: SystemTime,
    last: SystemTime,
    count: u64,
    /// The count of the last line that was written; 0 if none was.
    said: u64,
    /// The count at which the next line is due.
    say_at: u64,
    /// The next entry with the same hash.
    next: Option<usize>,
}

/// The violations of one run.
pub struct Ledger {
    bounds: Bounds,
    hasher: RandomState,
    index: HashMap<u64, usize>,
    entries: Vec<Entry>,
    overflow: HashMap<Code, usize>,
    text: usize,
    total: u64,
    lines: TokenBucket,
    sinks: Vec<Box<dyn Sink>>,
    sink_errors: u64,
    reactions: Option<Reactions>,
}

impl Ledger {
    /// An empty ledger without sinks.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            hasher: RandomState::new(),
            index: HashMap::new(),
            entries: Vec::new(),
            overflow: HashMap::new(),
            text: 0,
            total: 0,
            lines: TokenBucket::new(bounds.line_burst, bounds.lines_per_second),
            sinks: Vec::new(),
            sink_errors: 0,
            reactions: None,
        }
    }

    /// Adds a place where violations are written while they happen.
    pub fn add_sink(&mut self, sink: Box<dyn Sink>) {
        self.sinks.push(sink);
    }

    /// Holds every attempt from now on against these rules.
    pub fn watch(&mut self, reactions: Reactions) {
        self.reactions = Some(reactions);
    }

    /// Whether a rule was met that ends the run: no call that waits for an answer may get one.
    #[must_use]
    pub fn condemned(&self) -> Option<&Reaction> {
        self.reactions.as_ref().and_then(Reactions::condemned)
    }

    /// Rules that were met and not acted on yet.
    pub fn take_reactions(&mut self) -> Vec<Reaction> {
        self.reactions.as_mut().map(Reactions::take).unwrap_or_default()
    }

    /// Keeps what came of a rule; `recorded` says whether the audit log has it.
    pub fn keep_reaction(&mut self, reacted: Reacted, recorded: bool) {
        self.sink_errors += u64::from(!recorded);
        if let Some(reactions) = &mut self.reactions {
            reactions.keep(reacted);
        }
    }

    /// What came of the rules so far.
    #[must_use]
    pub fn reactions(&self) -> &[Reacted] {
        self.reactions.as_ref().map_or(&[], Reactions::done)
    }

    /// Counts an attempt. `who` is asked only for the first of its kind, so it may read `/proc`.
    pub fn record(&mut self, attempt: &Attempt<'_>, who: impl FnOnce() -> Process) {
        self.record_with(attempt, || Details { process: who(), ..Details::default() });
    }

    /// The same with all details.
    pub fn record_with(&mut self, attempt: &Attempt<'_>, details: impl FnOnce() -> Details) {
        self.total = self.total.saturating_add(attempt.count);
        let hash = self.hash(attempt);
        let at = match self.find(hash, attempt) {
            Some(at) => at,
            None => self.insert(hash, attempt, details),
        };
        let entry = &mut self.entries[at];
        entry.count = entry.count.saturating_add(attempt.count);
        entry.last = attempt.at.wall;
        entry.severity = entry.severity.max(attempt.severity);
        if entry.count >= entry.say_at && self.lines.take(attempt.at.mono) {
            let moment = if entry.said == 0 { Moment::First } else { Moment::Repeat };
            self.say(at, moment);
        }
        if let Some(reactions) = &mut self.reactions {
            reactions.observe(attempt);
        }
    }

    /// Attempts of all kinds, exactly.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Attempts under one code, exactly.
    #[must_use]
    pub fn total_of(&self, code: Code) -> u64 {
        self.entries.iter().filter(|e| e.code == code).map(|e| e.count).sum()
    }

    /// Attempts that these layers refused, exactly.
    #[must_use]
    pub fn total_in(&self, layers: &[Layer]) -> u64 {
        let of = |entry: &&Entry| layers.contains(&entry.code.layer());
        self.entries.iter().filter(of).map(|entry| entry.count).sum()
    }

    /// Distinct entries, the overflow entries included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes that a sink failed to do.
    #[must_use]
    pub fn sink_errors(&self) -> u64 {
        self.sink_errors
    }

    /// Everything so far, in the order of the first attempts.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        (0..self.entries.len()).map(|at| self.violation(at)).collect()
    }

    /// The run is over: writes the final count of every entry whose last written count is another, flushes the sinks
    /// and hands out the violations. The sinks are dropped, so that a file of theirs is closed.
    pub fn finish(&mut self) -> Vec<Violation> {
        for at in 0..self.entries.len() {
            if self.entries[at].said != self.entries[at].count {
                self.say(at, Moment::Final);
            }
        }
        for mut sink in self.sinks.drain(..) {
            if sink.flush().is_err() {
                self.sink_errors += 1;
            }
        }
        self.violations()
    }

    fn hash(&self, attempt: &Attempt<'_>) -> u64 {
        let mut state = self.hasher.build_hasher();
        attempt.code.hash(&mut state);
        attempt.object.hash(&mut state);
        attempt.by.hash(&mut state);
        state.finish()
    }

    fn find(&self, hash: u64, attempt: &Attempt<'_>) -> Option<usize> {
        let mut at = self.index.get(&hash).copied();
        while let Some(i) = at {
            let entry = &self.entries[i];
            if entry.code == attempt.code
                && entry.by == attempt.by
                && ObjectRef::of(&entry.object) == attempt.object
            {
                return Some(i);
            }
            at = entry.next;
        }
        None
    }

    /// Makes room for a new kind of attempt: its own entry while the bounds allow one, else the code's overflow entry.
    fn insert(
        &mut self,
        hash: u64,
        attempt: &Attempt<'_>,
        details: impl FnOnce() -> Details,
    ) -> usize {
        let text = attempt.object.text_len();
        let kept = self.index.len();
        if kept < self.bounds.keys && self.text + text <= self.bounds.text {
            self.text += text;
            let at = self.push(attempt, attempt.object, details());
            self.entries[at].next = self.index.insert(hash, at);
            return at;
        }
        if let Some(&at) = self.overflow.get(&attempt.code) {
            return at;
        }
        let at = self.push(attempt, attempt.object.folded(), Details::default());
        self.overflow.insert(attempt.code, at);
        at
    }

    fn push(&mut self, attempt: &Attempt<'_>, object: ObjectRef<'_>, details: Details) -> usize {
        self.entries.push(Entry {
            code: attempt.code,
            severity: attempt.severity,
            action: attempt.action,
            rule: attempt.rule.to_owned(),
            object: object.to_owned(),
            args: attempt.args.to_vec(),
            by: attempt.by,
            details,
            first: attempt.at.wall,
            last: attempt.at.wall,
            count: 0,
            said: 0,
            say_at: 1,
            next: None,
        });
        self.entries.len() - 1
    }

    fn say(&mut self, at: usize, moment: Moment) {
        let violation = self.violation(at);
        for sink in &mut self.sinks {
            if sink.emit(moment, &violation).is_err() {
                self.sink_errors += 1;
            }
        }
        let entry = &mut self.entries[at];
        entry.said = entry.count;
        entry.say_at = next_power_of_ten(entry.count);
    }

    fn violation(&self, at: usize) -> Violation {
        let entry = &self.entries[at];
        Violation {
            seq: u64::try_from(at).map_or(u64::MAX, |at| at.saturating_add(1)),
            ts: rfc3339(entry.last),
            first_ts: rfc3339(entry.first),
            layer: entry.code.layer(),
            code: entry.code,
            severity: entry.severity,
            action: entry.action,
            rule: entry.rule.clone(),
            object: entry.object.clone(),
            args: entry.args.iter().map(|arg| format!("{arg:#x}")).collect(),
            arguments: entry.details.arguments.clone(),
            process: entry.details.process.clone(),
            count: entry.count,
        }
    }
}

fn next_power_of_ten(count: u64) -> u64 {
    let mut power = 10u64;
    while power <= count {
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return u64::MAX,
        }
    }
    power
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    struct Seen(Rc<RefCell<Vec<(Moment, u64, u64)>>>);

    impl Sink for Seen {
        fn emit(&mut self, moment: Moment, v: &Violation) -> io::Result<()> {
            self.0.borrow_mut().push((moment, v.seq, v.count));
            Ok(())
        }
    }

    fn path(at: Now, path: &str, count: u64) -> Attempt<'_> {
        Attempt {
            at,
            code: Code::PathDenied,
            severity: Severity::Warning,
            action: Action::Denied,
            rule: "landlock:no rule",
            object: ObjectRef::Path { path, access: "fs.read_file" },
            args: &[],
            by: None,
            count,
        }
    }

    #[test]
    fn counts_are_exact_and_memory_is_bounded() {
        let mut ledger = Ledger::new(Bounds { keys: 100, ..Bounds::default() });
        let now = Now::read();
        for round in 0..3u64 {
            for i in 0..5000u32 {
                ledger.record(&path(now, &format!("/p/{i}"), round + 1), Process::default);
            }
        }
        let all = ledger.finish();
        assert_eq!(all.len(), 101);
        assert_eq!(ledger.total(), 5000 * 6);
        assert_eq!(all.iter().map(|v| v.count).sum::<u64>(), 5000 * 6);
        assert!(all.iter().take(100).all(|v| v.count == 6));
        assert_eq!(all[100].count, 4900 * 6);
        assert!(matches!(&all[100].object, Object::Path { path, .. } if path == "(others)"));
    }

    #[test]
    fn long_paths_are_bounded_too() {
        let mut ledger = Ledger::new(Bounds { text: 100_000, ..Bounds::default() });
        let now = Now::read();
        for i in 0..500u32 {
            ledger.record(&path(now, &format!("/{i}{}", "x".repeat(4000)), 1), Process::default);
        }
        assert!(ledger.text <= 100_000);
        assert_eq!(ledger.total_of(Code::PathDenied), 500);
    }

    #[test]
    fn lines_are_few_and_the_last_count_is_written() {
        let seen = Rc::new(RefCell::new(Vec::new()));
        let mut ledger =
            Ledger::new(Bounds { line_burst: 5, lines_per_second: 1, ..Bounds::default() });
        ledger.add_sink(Box::new(Seen(Rc::clone(&seen))));
        let start = Now::read();
        for i in 0..200_000u32 {
            let at = Now { mono: start.mono + Duration::from_micros(u64::from(i) * 5), ..start };
            ledger.record(&path(at, if i % 2 == 0 { "/a" } else { "/b" }, 1), Process::default);
        }
        assert!(seen.borrow().len() <= 6, "{:?}", seen.borrow());
        ledger.finish();
        let seen = seen.borrow();
        for seq in [1, 2] {
            let last = seen.iter().rfind(|line| line.1 == seq).expect("written");
            assert_eq!(last.2, 100_000);
        }
    }

    #[test]
    fn who_is_asked_once_for_each_kind() {
        let mut ledger = Ledger::new(Bounds::default());
        let mut asked = 0;
        for _ in 0..10 {
            ledger.record(&path(Now::read(), "/a", 1), || {
                asked += 1;
                Process { pid: Some(7), ..Process::default() }
            });
        }
        assert_eq!(asked, 1);
        assert_eq!(ledger.violations()[0].process.pid, Some(7));
    }

    #[test]
    fn equal_hashes_are_told_apart() {
        let mut ledger = Ledger::new(Bounds::default());
        let now = Now::read();
        for name in ["/a", "/b", "/c"] {
            let attempt = path(now, name, 1);
            let at = ledger.push(&attempt, attempt.object, Details::default());
            ledger.entries[at].next = ledger.index.insert(42, at);
        }
        for (want, name) in ["/a", "/b", "/c"].into_iter().enumerate() {
            assert_eq!(ledger.find(42, &path(now, name, 1)), Some(want));
        }
        // Of another process, where those are kept apart.
        assert_eq!(ledger.find(42, &Attempt { by: Some(7), ..path(now, "/a", 1) }), None);
        for by in [7, 8] {
            let attempt = Attempt { by: Some(by), ..path(now, "/a", 1) };
            ledger.record(&attempt, || Process { pid: Some(by), ..Process::default() });
            ledger.record(&attempt, || Process { pid: Some(9), ..Process::default() });
        }
        let seen = ledger.violations();
        for (at, pid) in [(3, 7), (4, 8)] {
            assert_eq!((seen[at].process.pid, seen[at].count), (Some(pid), 2));
        }
    }

    #[test]
    fn powers() {
        assert_eq!(next_power_of_ten(1), 10);
        assert_eq!(next_power_of_ten(10), 100);
        assert_eq!(next_power_of_ten(u64::MAX), u64::MAX);
    }
}
