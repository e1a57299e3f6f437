use super::{Evaluator, Observation, Reaction, ReactionAction, ReactionRule, ReactionRules, parse};
use crate::tier::Tier;
use crate::violation::{Code, Severity};

fn rules(text: &str) -> ReactionRules {
    parse("reactions.toml", text.as_bytes()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> Vec<String> {
    let problems = parse("reactions.toml", text.as_bytes()).unwrap_err();
    problems.iter().map(|d| format!("{}@{}:{} {}", d.code, d.line, d.column, d.hint)).collect()
}

/// A rule `r` with these lines.
fn one(lines: &str) -> ReactionRules {
    rules(&format!("[[rule]]\nname = \"r\"\nreason = \"test\"\n{lines}"))
}

fn evaluator(lines: &str) -> Evaluator {
    Evaluator::new(&one(lines), Tier::Community)
}

fn seen(at_ms: u64, code: Code, count: u64) -> Observation {
    Observation { at_ms, code, severity: code.severity(), count }
}

const SOME: Code = Code::PathDenied;

#[test]
fn a_rule_of_one_strikes_at_once_and_only_once() {
    let mut evaluator = evaluator("codes = [\"tripwire-touched\"]\naction = \"kill\"");
    assert_eq!(evaluator.observe(&seen(5, SOME, 1)), []);
    let reaction = Reaction {
        rule: "r".to_owned(),
        action: ReactionAction::Kill,
        code: Code::TripwireTouched,
        count: 7,
        threshold: 1,
        window_s: None,
        reason: "test".to_owned(),
    };
    assert_eq!(evaluator.observe(&seen(5, Code::TripwireTouched, 7)), [reaction]);
    assert_eq!(evaluator.observe(&seen(900_000, Code::TripwireTouched, 1)), []);
}

#[test]
fn what_is_as_old_as_the_window_is_no_longer_in_it() {
    let lines = "count = 2\nwindow_s = 10\naction = \"kill\"";
    for (second, met) in [(9_999, true), (10_000, false), (10_001, false)] {
        let mut evaluator = evaluator(lines);
        assert_eq!(evaluator.observe(&seen(0, SOME, 1)), []);
        assert_eq!(!evaluator.observe(&seen(second, SOME, 1)).is_empty(), met, "{second}");
    }
}

#[test]
fn a_warning_rests_for_one_window_and_then_starts_at_zero() {
    let mut evaluator = evaluator("count = 3\nwindow_s = 10\naction = \"warn\"");
    let mut struck = Vec::new();
    for at in (0..40_000).step_by(1000) {
        struck.extend(evaluator.observe(&seen(at, SOME, 1)).iter().map(|met| (at, met.count)));
    }
    assert_eq!(struck, [(2000, 3), (14_000, 3), (26_000, 3), (38_000, 3)]);
}

#[test]
fn selectors_are_all_required() {
    let lines = "layers = [\"landlock\", \"dns\"]\nseverity = \"CRITICAL\"\naction = \"warn\"\n\
                 count = 1\nwindow_s = 1";
    for code in Code::ALL {
        let mut evaluator = evaluator(lines);
        let met = !evaluator.observe(&seen(0, *code, 1)).is_empty();
        let wanted = matches!(code.layer().text(), "landlock" | "dns")
            && code.severity() == Severity::Critical;
        assert_eq!(met, wanted, "{}", code.text());
    }
    // A policy line may give a code another severity: that of the violation decides.
    let mut evaluator = evaluator("severity = \"WARNING\"\naction = \"warn\"");
    let harmless = Observation { severity: Severity::Info, ..seen(0, Code::MountAttempt, 1) };
    assert_eq!(evaluator.observe(&harmless), []);
}

#[test]
fn rules_are_those_of_the_tier_and_answer_in_the_order_of_the_file() {
    let rules = rules(
        "[[rule]]\nname = \"b\"\naction = \"warn\"\nreason = \"x\"\n\
         [[rule]]\nname = \"not-here\"\ntiers = [\"enterprise\"]\naction = \"kill\"\nreason = \"x\"\n\
         [[rule]]\nname = \"a\"\ntiers = [\"community\"]\naction = \"disable\"\nreason = \"x\"\n",
    );
    let mut evaluator = Evaluator::new(&rules, Tier::Community);
    let names: Vec<String> =
        evaluator.observe(&seen(0, SOME, 1)).into_iter().map(|met| met.rule).collect();
    assert_eq!(names, ["b", "a"]);
}

/// Numbers without a crate: xorshift64*.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % below
    }
}

/// The rule as its description says it, by looking at everything each time.
struct Naive {
    rule: ReactionRule,
    all: Vec<(u64, u64)>,
    /// What came before this has been used up.
    from: usize,
    rest_until: u64,
    latest: u64,
}

impl Naive {
    fn observe(&mut self, observation: &Observation) -> Option<u64> {
        self.latest = self.latest.max(observation.at_ms);
        if !self.rule.counts(observation.code, observation.severity)
            || self.latest < self.rest_until
        {
            return None;
        }
        self.all.push((self.latest, observation.count));
        let window = self.rule.window_s.map_or(u64::MAX, |seconds| seconds * 1000);
        let young = |at: u64| self.latest - at < window;
        let sum: u64 =
            self.all[self.from..].iter().filter(|(at, _)| young(*at)).map(|(_, n)| n).sum();
        if sum < self.rule.count {
            return None;
        }
        self.from = self.all.len();
        let again = self.rule.window_s.filter(|_| !self.rule.action.ends_run());
        self.rest_until = again.map_or(u64::MAX, |seconds| self.latest + seconds * 1000);
        Some(sum)
    }
}

fn random_rule(dice: &mut Dice) -> ReactionRule {
    let count = 1 + dice.roll(12);
    let action = ["warn", "kill", "disable"][usize::try_from(dice.roll(3)).unwrap()];
    let select =
        ["", "codes = [\"path-denied\"]", "layers = [\"seccomp\"]", "severity = \"WARNING\""];
    let select = select[usize::try_from(dice.roll(4)).unwrap()];
    let window = if count > 1 || dice.roll(2) == 0 {
        format!("window_s = {}", 1 + dice.roll(4))
    } else {
        String::new()
    };
    let lines = format!("{select}\ncount = {count}\n{window}\naction = \"{action}\"");
    one(&lines).rules[0].clone()
}

/// Times that mostly go forwards, stand still, and at times go back.
fn random_observations(dice: &mut Dice) -> Vec<Observation> {
    let codes = [SOME, Code::MountAttempt, Code::SyscallProbe, Code::NameRefused];
    let mut at_ms = 10_000;
    (0..200)
        .map(|_| {
            at_ms = match dice.roll(10) {
                0..3 => at_ms,
                3 => at_ms - dice.roll(5000).min(at_ms),
                4 => at_ms + 1000,
                _ => at_ms + dice.roll(600),
            };
            let code = codes[usize::try_from(dice.roll(4)).unwrap()];
            seen(at_ms, code, 1 + dice.roll(3))
        })
        .collect()
}

#[test]
fn it_agrees_with_its_description() {
    let mut dice = Dice(7);
    let mut met = 0;
    for _ in 0..3000 {
        let rule = random_rule(&mut dice);
        let mut naive =
            Naive { rule: rule.clone(), all: Vec::new(), from: 0, rest_until: 0, latest: 0 };
        let rules = ReactionRules { rules: vec![rule.clone()].into() };
        let mut evaluator = Evaluator::new(&rules, Tier::Community);
        for observation in random_observations(&mut dice) {
            let got = evaluator.observe(&observation).first().map(|met| met.count);
            assert_eq!(got, naive.observe(&observation), "{rule:?} {observation:?}");
            met += u32::from(got.is_some());
        }
    }
    assert!(met > 1000, "the observations hardly meet a rule: {met}");
}

/// A burst strikes as the same violations one by one would, and at the same time.
#[test]
fn folding_changes_nothing_but_the_count_that_is_shown() {
    let mut dice = Dice(11);
    for _ in 0..2000 {
        let rules = ReactionRules { rules: vec![random_rule(&mut dice)].into() };
        let mut folded = Evaluator::new(&rules, Tier::Community);
        let mut single = Evaluator::new(&rules, Tier::Community);
        // Without a rest: what a burst has beyond the threshold is used up by it, as the rest would.
        for observation in random_observations(&mut dice) {
            let at_once = folded.observe(&observation);
            let apart: Vec<Reaction> = (0..observation.count)
                .flat_map(|_| single.observe(&Observation { count: 1, ..observation }))
                .collect();
            assert_eq!(at_once.len(), apart.len(), "{observation:?}");
            for (at_once, apart) in at_once.iter().zip(&apart) {
                assert!(at_once.count >= apart.count && apart.count == apart.threshold);
            }
        }
    }
}

#[test]
fn memory_is_bounded_by_the_rule_and_counts_do_not_overflow() {
    let mut many = evaluator("count = 50\nwindow_s = 86400\naction = \"warn\"");
    for at in 0..100_000 {
        many.observe(&seen(at, SOME, 1));
        assert!(many.watched[0].seen.len() < 50);
    }
    let mut huge = evaluator("count = 2\nwindow_s = 86400\naction = \"kill\"");
    let met = huge.observe(&seen(u64::MAX, SOME, u64::MAX));
    assert_eq!(met[0].count, u64::MAX);
    let mut quick = evaluator("count = 100000\nwindow_s = 1\naction = \"warn\"");
    for _ in 0..99_999 {
        assert_eq!(quick.observe(&seen(3, SOME, 1)), []);
    }
    assert_eq!(quick.watched[0].seen.len(), 1);
}

#[test]
fn a_clock_that_is_set_back_makes_a_rule_strike_early_never_late() {
    let mut evaluator = evaluator("count = 2\nwindow_s = 10\naction = \"kill\"");
    assert_eq!(evaluator.observe(&seen(100_000, SOME, 1)), []);
    assert_eq!(evaluator.observe(&seen(5, SOME, 1)).len(), 1);
}

#[test]
fn the_defaults_end_no_run() {
    let defaults = crate::set::PolicySet::embedded();
    let rules = &defaults.reactions().rules;
    assert!(rules.iter().all(|rule| rule.action == ReactionAction::Warn), "{rules:?}");
    assert!(!rules.is_empty());
}

#[test]
fn mistakes_are_refused_with_their_place() {
    let head = "[[rule]]\nname = \"r\"\naction = \"warn\"\nreason = \"x\"\n";
    let cases: &[(&str, &[&str])] = &[
        ("codes = [\"tripwire-touhced\"]", &["unknown-value@5:10 did you mean tripwire-touched?"]),
        (
            "codes = [\"zzzzzzzzzzzzzzzzzzz\"]",
            &["unknown-value@5:10 `sandboxctl codes` lists them"],
        ),
        ("codes = []", &["unknown-value@5:9 leave `codes` out for every code"]),
        ("codes = [\"path-denied\", \"path-denied\"]", &["duplicate-entry@5:25 "]),
        ("layers = [\"disk\"]", &["unknown-value@5:11 did you mean dns?"]),
        (
            "codes = [\"path-denied\"]\nlayers = [\"dns\"]",
            &["unknown-value@1:1 it never counts: name its layer, too, or leave `layers` out"],
        ),
        ("severity = \"critical\"", &["unknown-value@5:12 one of INFO, WARNING, CRITICAL"]),
        ("count = 0", &["number-out-of-range@5:9 from 1 to 100000"]),
        ("count = 2", &["missing-key@1:1 "]),
        ("count = 2.5\nwindow_s = 1", &["not-a-whole-number@5:9 "]),
        ("window_s = 86401", &["number-out-of-range@5:12 from 1 to 86400"]),
        ("window = 5", &["unknown-key@5:1 did you mean `window_s`?"]),
        ("tiers = [\"free\"]", &["unknown-value@5:10 one of community, professional, enterprise"]),
        ("action = \"kill\"", &["duplicate-key@5:1 keep one of them"]),
    ];
    for (line, wanted) in cases {
        assert_eq!(refused(&format!("{head}{line}\n")), *wanted, "{line}");
    }
    let twice = refused(&format!("{head}{head}"));
    assert_eq!(twice, ["duplicate-entry@6:8 records name the rule: give each its own name"]);
    let wanted =
        ["missing-key@1:1 ", "missing-key@1:1 ", "unknown-value@2:10 one of warn, kill, disable"];
    assert_eq!(refused("[[rule]]\naction = \"stop\"\n"), wanted);
    assert_eq!(refused("[rule]\nname = \"r\"\n"), ["wrong-type@1:1 "]);
    assert_eq!(refused("[[rules]]\n"), ["unknown-key@1:3 did you mean `rule`?"]);
}
