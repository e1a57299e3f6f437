//! Answers of the name servers, as long as they may be kept.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use policies::domain::DomainName;
use tokio::sync::Mutex;

use super::UpstreamError;

/// At most so long, whatever the name servers say: who moves a server waits no longer for it.
const MOST: Duration = Duration::from_mins(1);

/// The addresses of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) addresses: Vec<IpAddr>,
    /// How long the name servers let it be kept.
    pub(super) ttl: Duration,
}

/// By name: as many as a sandbox has connected to, and a tier bounds those.
#[derive(Debug, Default)]
pub(super) struct Answers {
    by_name: RefCell<HashMap<DomainName, Rc<Mutex<Option<Answer>>>>>,
}

/// What came of the last lookup.
#[derive(Debug)]
struct Answer {
    result: Result<Vec<IpAddr>, UpstreamError>,
    asked: Instant,
    until: Instant,
}

impl Answers {
    /// The addresses of a name: kept ones, or what `ask` says. Those who want one name at once wait for one lookup, and take
    /// what it says, good or bad, where it began after they came.
    pub(super) async fn get(
        &self,
        name: &DomainName,
        ask: impl AsyncFnOnce() -> Result<Found, UpstreamError>,
    ) -> Result<Vec<IpAddr>, UpstreamError> {
        let came = Instant::now();
        let slot = Rc::clone(self.by_name.borrow_mut().entry(name.clone()).or_default());
        let mut slot = slot.lock().await;
        if let Some(answer) = &*slot
            && (answer.asked >= came || Instant::now() < answer.until)
        {
            return answer.result.clone();
        }
        let asked = Instant::now();
        let (result, ttl) = match ask().await {
            Ok(Found { addresses, ttl }) => (Ok(addresses), ttl.min(MOST)),
            Err(error) => (Err(error), Duration::ZERO),
        };
        let answer = Answer { result, asked, until: Instant::now() + ttl };
        let result = answer.result.clone();
        *slot = Some(answer);
        result
    }

    /// Nobody answered there: the next connection asks again.
    pub(super) fn forget(&self, name: &DomainName) {
        self.by_name.borrow_mut().remove(name);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, test);
    }

    fn name() -> DomainName {
        DomainName::from_ascii("a.example.com").unwrap()
    }

    /// A name server that counts.
    struct Server {
        answers: Answers,
        asked: Cell<u8>,
        ttl: Cell<Duration>,
        works: Cell<bool>,
    }

    impl Server {
        fn new(ttl: Duration) -> Rc<Self> {
            let (asked, ttl, works) = (Cell::new(0), Cell::new(ttl), Cell::new(true));
            Rc::new(Self { answers: Answers::default(), asked, ttl, works })
        }

        /// Its last number is that of the lookup.
        async fn get(&self) -> Result<u8, UpstreamError> {
            let name = name();
            let found = self.answers.get(&name, async || {
                self.asked.set(self.asked.get() + 1);
                let number = self.asked.get();
                yield_now().await;
                let address = IpAddr::from([192, 0, 2, number]);
                if self.works.get() {
                    Ok(Found { addresses: vec![address], ttl: self.ttl.get() })
                } else {
                    Err(UpstreamError::Lookup { reason: number.to_string() })
                }
            });
            let IpAddr::V4(address) = found.await?[0] else { panic!("not IPv4") };
            Ok(address.octets()[3])
        }
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_may_be_and_forgotten_where_it_is_no_use() {
        run(async {
            let server = Server::new(Duration::from_hours(1));
            assert_eq!((server.get().await, server.get().await), (Ok(1), Ok(1)));
            server.answers.forget(&name());
            assert_eq!((server.get().await, server.get().await), (Ok(2), Ok(2)));
            let never = Server::new(Duration::ZERO);
            assert_eq!((never.get().await, never.get().await), (Ok(1), Ok(2)));
        });
    }

    #[test]
    fn an_error_is_not_kept() {
        run(async {
            let server = Server::new(Duration::from_hours(1));
            server.works.set(false);
            let failed = |n: u8| Err(UpstreamError::Lookup { reason: n.to_string() });
            assert_eq!((server.get().await, server.get().await), (failed(1), failed(2)));
            server.works.set(true);
            assert_eq!(server.get().await, Ok(3));
        });
    }

    // One begins and the others come while it asks: they cannot know how old its question is, and share the next one.
    #[test]
    fn many_at_once_ask_twice_at_most() {
        for works in [true, false] {
            run(async {
                let server = Server::new(Duration::ZERO);
                server.works.set(works);
                let all: Vec<_> = (0..100)
                    .map(|_| {
                        let server = Rc::clone(&server);
                        spawn_local(async move { server.get().await.is_ok() })
                    })
                    .collect();
                for one in all {
                    assert_eq!(one.await.unwrap(), works);
                }
                assert!((1..=2).contains(&server.asked.get()), "{}", server.asked.get());
            });
        }
    }
}
