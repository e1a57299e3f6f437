//! The packet filter, loaded by the real nft into a namespace of the test's own.

use std::io::Write as _;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use policies::domain::{AddressPolicy, DomainName, DomainPattern, DomainRule, TlsMode};
use policies::plan::egress::NetworkLimits;

use super::*;

pub(in crate::egress) fn egress(ports: &[u16]) -> Egress {
    let name = DomainName::from_ascii("api.example.com").unwrap();
    let rule = DomainRule {
        names: DomainPattern::Exact(name),
        ports: ports.to_vec(),
        tls: TlsMode::Checked,
        addresses: AddressPolicy::Public,
    };
    let limits = NetworkLimits {
        connections: 8,
        connections_total: 100,
        traffic_mb: 10,
        names_per_wildcard: 4,
        idle_ms: 1000,
    };
    Egress { rules: vec![rule], limits }
}

/// Runs in a network namespace of its own; network namespaces belong to threads.
pub(in crate::egress) fn in_namespace<T: Send + 'static>(
    run: impl FnOnce() -> T + Send + 'static,
) -> T {
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
        run()
    })
    .join()
    .unwrap()
}

fn listed() -> String {
    let out = Command::new("nft").args(["list", "ruleset"]).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn text_data_and_batch_are_the_same_rules() {
    let custom = Ranges {
        synthetic_v4: "100.127.255.16/28".parse().unwrap(),
        synthetic_v6: "fd00:1::/112".parse().unwrap(),
    };
    let all: Vec<u16> = (1000..1032).collect();
    for (ports, ranges) in
        [(&[443][..], Ranges::default()), (&[80, 443, 8443], Ranges::default()), (&all, custom)]
    {
        let rules = compile(&egress(ports), &ranges);
        let (by_nft, by_text, by_batch) = (rules.clone(), rules.clone(), rules);
        let by_nft = in_namespace(move || {
            by_nft.load_by_nft().unwrap();
            listed()
        });
        let by_text = in_namespace(move || {
            let mut nft = Command::new("nft");
            let mut nft = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
            nft.stdin.take().unwrap().write_all(by_text.text().as_bytes()).unwrap();
            assert!(nft.wait().unwrap().success(), "{}", by_text.text());
            listed()
        });
        let by_batch = in_namespace(move || {
            by_batch.load().unwrap();
            listed()
        });
        assert!(by_nft.contains("policy drop"), "{by_nft}");
        assert_eq!(by_nft, by_text);
        assert_eq!(by_nft, by_batch);
    }
}

#[test]
#[ignore = "a measurement: prints what each way to load the rules takes"]
fn how_long_loading_takes() {
    for (way, load) in [
        ("batch", Ruleset::load as fn(&Ruleset) -> Result<(), EgressError>),
        ("nft", Ruleset::load_by_nft),
    ] {
        let mut times: Vec<_> = (0..30)
            .map(|_| {
                in_namespace(move || {
                    let began = std::time::Instant::now();
                    load(&compile(&egress(&[443]), &Ranges::default())).unwrap();
                    began.elapsed()
                })
            })
            .collect();
        times.sort_unstable();
        println!("{way}: median {:?}", times[15]);
    }
}
