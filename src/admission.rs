//! Who may have how much in work at the same time, counted in articles and in bytes.
//!
//! A [`Share`] is held by what it stands for: by the bytes of a request while it comes in, by an
//! article from its analysis until the store has answered, by an answer until it is sent. It goes
//! back when it is dropped, so what a client does or leaves undone cannot keep it.
//!
//! No client can take everything. What one holds may be at most as much as is then still free
//! (Choudhury and Hahne, "Dynamic queue length thresholds", 1998, with a factor of 1): alone it gets
//! half, with n as greedy as itself one part in n + 1, and one part stays free for whoever comes
//! next. Those who can wait are served in turns, client by client.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// So many articles, and so many bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    pub articles: usize,
    pub bytes: usize,
}

impl Amount {
    pub const ARTICLE: Amount = Amount { articles: 1, bytes: 0 };

    pub fn bytes(bytes: usize) -> Self {
        Amount { articles: 0, bytes }
    }

    fn plus(self, other: Amount) -> Amount {
        Amount {
            articles: self.articles.saturating_add(other.articles),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    fn minus(self, other: Amount) -> Amount {
        Amount {
            articles: self.articles.saturating_sub(other.articles),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

/// There is no room for what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("as much is in work as is taken on at the same time")]
pub struct Overloaded;

/// What may be held at the same time, by everybody together.
#[derive(Clone)]
pub struct Budget(Arc<Shared>);

struct Shared {
    limit: Amount,
    rule: Rule,
    next_client: AtomicU64,
    state: Mutex<State>,
}

/// What one client may have of what is free.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// It has to leave as much as it holds to others.
    LeavesRoom,
    /// Everything while no one else is there, else so many articles. This is for what is waited for:
    /// it is handed out client by client.
    AmongOthers(usize),
}

/// Whoever has got something is taken to be there for so long, even if he neither holds nor wants
/// anything just now: what others take in that moment he would have to wait for.
const IS_THERE: Duration = Duration::from_secs(1);

#[derive(Default)]
struct State {
    held: Amount,
    /// Those who hold something or wait.
    clients: HashMap<u64, Holder>,
    /// The clients that wait, in the order of their turns.
    turns: VecDeque<u64>,
    /// The last two who got something, and when, the last one first.
    last: [Option<(u64, Instant)>; 2],
}

#[derive(Default)]
struct Holder {
    held: Amount,
    waiting: VecDeque<Waiter>,
}

struct Waiter {
    amount: Amount,
    granted: oneshot::Sender<Share>,
}

impl Budget {
    /// A budget of which nobody gets more than he leaves to others.
    pub fn new(limit: Amount) -> Self {
        Self::with(limit, Rule::LeavesRoom)
    }

    /// So many turns at something, all of which one client may have.
    pub fn turns(count: usize) -> Self {
        Self::places(count, count)
    }

    /// So many places, all of which one client may have while nobody else is there or was a second
    /// ago, and else some.
    pub fn places(count: usize, among_others: usize) -> Self {
        Self::with(Amount { articles: count, bytes: 0 }, Rule::AmongOthers(among_others))
    }

    fn with(limit: Amount, rule: Rule) -> Self {
        let next_client = AtomicU64::new(1);
        Budget(Arc::new(Shared { limit, rule, next_client, state: Mutex::default() }))
    }

    /// Somebody new.
    pub fn client(&self) -> Client {
        let id = self.0.next_client.fetch_add(1, Ordering::Relaxed);
        Client { shared: Arc::clone(&self.0), id }
    }

    /// The same client in this budget as it is in another one.
    pub fn same(&self, client: &Client) -> Client {
        Client { shared: Arc::clone(&self.0), id: client.id }
    }

    pub fn limit(&self) -> Amount {
        self.0.limit
    }

    pub fn held(&self) -> Amount {
        self.0.state.lock().held
    }
}

/// All that work has to pass: a budget for what is there at the same time, and turns at the
/// processors. Waiting for a turn costs no thread, and whoever stops waiting is not served.
#[derive(Clone)]
pub struct Admission {
    pub budget: Budget,
    /// Turns at work of less than a millisecond, done on the threads that serve. There are as many
    /// as processors, so that little stands between a call that only asks for health and a thread.
    short: Budget,
    /// Turns at longer work, done on as many other threads.
    long: Budget,
    /// Places on the way through the store, which takes everybody's articles in one queue.
    places: Budget,
}

/// So many articles of one client are on their way through the store at the same time if others
/// are there as well. Whoever has as many in flight gets as much of the store as the greediest, and
/// a few clients together still fill a commit.
const PLACES_AMONG_OTHERS: usize = 32;

impl Admission {
    pub fn new(limit: Amount) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = || Budget::turns(processors);
        let places = Budget::places(limit.articles, PLACES_AMONG_OTHERS);
        Admission { budget: Budget::new(limit), short: turns(), long: turns(), places }
    }

    /// Waits for a place on the way through the store.
    pub async fn place(&self, client: &Client) -> Share {
        self.places.same(client).take(Amount::ARTICLE).await
    }

    /// Waits for a turn at short work.
    pub async fn turn(&self, client: &Client) -> Share {
        self.short.same(client).take(Amount::ARTICLE).await
    }

    /// Does long work, on another thread, when it is this client's turn.
    pub async fn blocking<T: Send + 'static>(
        &self,
        client: &Client,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Overloaded> {
        let turn = self.long.same(client).take(Amount::ARTICLE).await;
        let worked = tokio::task::spawn_blocking(move || {
            let worked = work();
            drop(turn);
            worked
        });
        // Work that panicked has no result to wait for; the panic itself is in the log.
        worked.await.map_err(|_| Overloaded)
    }
}

/// One of those who share a budget: a connection, or whoever else should not starve others.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    id: u64,
}

impl Client {
    /// A share, if there is room for it now.
    pub fn try_take(&self, amount: Amount) -> Result<Share, Overloaded> {
        let mut state = self.shared.state.lock();
        if !state.fits(&self.shared, self.id, amount) {
            return Err(Overloaded);
        }
        state.add(self.id, amount);
        Ok(Share { client: self.clone(), amount })
    }

    /// A share, as soon as there is room for it and it is this client's turn.
    pub async fn take(&self, amount: Amount) -> Share {
        loop {
            let granted = {
                let mut state = self.shared.state.lock();
                let waits = state.clients.get(&self.id).is_some_and(|own| !own.waiting.is_empty());
                if !waits && state.fits(&self.shared, self.id, amount) {
                    state.add(self.id, amount);
                    return Share { client: self.clone(), amount };
                }
                let (sender, granted) = oneshot::channel();
                if !waits {
                    state.turns.push_back(self.id);
                }
                let waiting = &mut state.clients.entry(self.id).or_default().waiting;
                waiting.push_back(Waiter { amount, granted: sender });
                granted
            };
            // Waiters are only ever dropped after they got their share.
            if let Ok(share) = granted.await {
                return share;
            }
        }
    }

    /// A share of what is there already, whether there is room for it or not.
    pub fn charge(&self, amount: Amount) -> Share {
        self.shared.state.lock().add(self.id, amount);
        Share { client: self.clone(), amount }
    }

    /// Whether a share would be granted now.
    pub fn has_room(&self, amount: Amount) -> bool {
        self.shared.state.lock().fits(&self.shared, self.id, amount)
    }

    fn release(&self, amount: Amount) {
        let granted = {
            let mut state = self.shared.state.lock();
            state.remove(self.id, amount);
            state.serve(&self.shared)
        };
        // Whoever has left meanwhile gives his share back here, outside the lock.
        for (waiter, share) in granted {
            let _ = waiter.send(share);
        }
    }
}

/// What somebody holds of a budget, until it is dropped.
pub struct Share {
    client: Client,
    amount: Amount,
}

impl Share {
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn bytes(&self) -> usize {
        self.amount.bytes
    }

    /// Adds to the share, if there is room.
    pub fn grow(&mut self, more: Amount) -> Result<(), Overloaded> {
        let shared = &self.client.shared;
        let mut state = shared.state.lock();
        if !state.fits(shared, self.client.id, more) {
            return Err(Overloaded);
        }
        state.add(self.client.id, more);
        self.amount = self.amount.plus(more);
        Ok(())
    }

    /// Makes the share one of so many bytes. Less is always possible.
    pub fn set_bytes(&mut self, bytes: usize) -> Result<(), Overloaded> {
        if bytes > self.amount.bytes {
            return self.grow(Amount::bytes(bytes - self.amount.bytes));
        }
        let less = Amount::bytes(self.amount.bytes - bytes);
        self.amount = self.amount.minus(less);
        if less.bytes > 0 {
            self.client.release(less);
        }
        Ok(())
    }

    /// Gives the articles of the share back and keeps the bytes.
    pub fn give_back_articles(&mut self) {
        let articles = Amount { articles: self.amount.articles, bytes: 0 };
        self.amount = self.amount.minus(articles);
        self.client.release(articles);
    }

    /// Puts another share of the same client to this one.
    pub fn join(&mut self, mut other: Share) {
        self.amount = self.amount.plus(std::mem::take(&mut other.amount));
    }

    /// Takes a part out of the share, as much of it as there is.
    pub fn split(&mut self, part: Amount) -> Share {
        let amount = Amount {
            articles: part.articles.min(self.amount.articles),
            bytes: part.bytes.min(self.amount.bytes),
        };
        self.amount = self.amount.minus(amount);
        Share { client: self.client.clone(), amount }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Share").field("amount", &self.amount).finish_non_exhaustive()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.amount != Amount::default() {
            self.client.release(self.amount);
        }
    }
}

impl State {
    fn fits(&self, shared: &Shared, client: u64, amount: Amount) -> bool {
        let free = shared.limit.minus(self.held);
        let own = self.clients.get(&client).map(|own| own.held).unwrap_or_default();
        let fits = |amount: usize, own: usize, free: usize| match shared.rule {
            _ if amount == 0 => true,
            // Whoever holds nothing may have anything there is: a batch is one call.
            Rule::LeavesRoom => amount.saturating_add(own) <= free,
            Rule::AmongOthers(max) => {
                amount <= free && (own + amount <= max || self.is_alone(client))
            }
        };
        fits(amount.articles, own.articles, free.articles)
            && fits(amount.bytes, own.bytes, free.bytes)
    }

    fn is_alone(&self, client: u64) -> bool {
        let mut others = self.last.iter().flatten().filter(|(other, _)| *other != client);
        self.clients.len() == usize::from(self.clients.contains_key(&client))
            && others.all(|(_, moment)| moment.elapsed() >= IS_THERE)
    }

    fn add(&mut self, client: u64, amount: Amount) {
        if self.last[0].is_some_and(|(last, _)| last != client) {
            self.last[1] = self.last[0];
        }
        self.last[0] = Some((client, Instant::now()));
        self.held = self.held.plus(amount);
        let own = self.clients.entry(client).or_default();
        own.held = own.held.plus(amount);
    }

    fn remove(&mut self, client: u64, amount: Amount) {
        self.held = self.held.minus(amount);
        if let Some(own) = self.clients.get_mut(&client) {
            own.held = own.held.minus(amount);
            if own.held == Amount::default() && own.waiting.is_empty() {
                self.clients.remove(&client);
            }
        }
    }

    /// Grants what fits now to those who wait, one to each client and round again.
    fn serve(&mut self, shared: &Arc<Shared>) -> Vec<(oneshot::Sender<Share>, Share)> {
        let mut granted = Vec::new();
        let mut refused = 0;
        while refused < self.turns.len() {
            let Some(id) = self.turns.pop_front() else { break };
            let Some(own) = self.clients.get_mut(&id) else { continue };
            while own.waiting.front().is_some_and(|waiter| waiter.granted.is_closed()) {
                own.waiting.pop_front();
            }
            let Some(amount) = own.waiting.front().map(|waiter| waiter.amount) else {
                self.remove(id, Amount::default());
                continue;
            };
            if !self.fits(shared, id, amount) {
                refused += 1;
                self.turns.push_back(id);
                continue;
            }
            refused = 0;
            self.add(id, amount);
            let client = Client { shared: Arc::clone(shared), id };
            let Some(own) = self.clients.get_mut(&id) else { continue };
            if let Some(waiter) = own.waiting.pop_front() {
                granted.push((waiter.granted, Share { client, amount }));
            }
            if !own.waiting.is_empty() {
                self.turns.push_back(id);
            }
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn articles(articles: usize) -> Amount {
        Amount { articles, bytes: 0 }
    }

    #[test]
    fn a_client_alone_gets_half_and_the_next_half_of_the_rest() {
        let budget = Budget::new(Amount { articles: 16, bytes: 1000 });
        let greedy = |client: &Client| {
            std::iter::from_fn(|| client.try_take(articles(1)).ok()).collect::<Vec<_>>()
        };
        let (one, two) = (budget.client(), budget.client());
        let first = greedy(&one);
        assert_eq!(first.len(), 8);
        let second = greedy(&two);
        assert_eq!(second.len(), 4);
        drop(first);
        assert_eq!(budget.held(), articles(4));
        assert_eq!(greedy(&one).len(), 6, "a third for each, a third is free");
        drop(second);
        assert_eq!(budget.held(), Amount::default());
    }

    #[test]
    fn who_holds_nothing_may_have_all_that_is_free() {
        let budget = Budget::new(Amount { articles: 16, bytes: 1000 });
        let client = budget.client();
        let all = client.try_take(articles(16)).unwrap();
        assert_eq!(client.try_take(articles(1)).err(), Some(Overloaded));
        drop(all);
        assert!(client.try_take(articles(17)).is_err());
    }

    #[test]
    fn shares_grow_shrink_and_split_without_loss() {
        let budget = Budget::new(Amount { articles: 4, bytes: 1000 });
        let client = budget.client();
        let mut share = client.try_take(Amount { articles: 2, bytes: 100 }).unwrap();
        share.set_bytes(300).unwrap();
        assert_eq!(share.set_bytes(900), Err(Overloaded), "half stays free");
        assert_eq!(share.bytes(), 300, "a refusal changes nothing");
        let part = share.split(Amount { articles: 1, bytes: 1000 });
        assert_eq!((part.bytes(), share.bytes()), (300, 0));
        share.give_back_articles();
        assert_eq!(budget.held(), Amount { articles: 1, bytes: 300 });
        let over = client.charge(Amount::bytes(5000));
        assert!(client.try_take(Amount::bytes(1)).is_err());
        drop((over, part, share));
        assert_eq!(budget.held(), Amount::default());
        assert!(budget.0.state.lock().clients.is_empty(), "nobody is remembered for nothing");
    }

    #[tokio::test]
    async fn turns_go_round_and_those_who_left_are_passed_over() {
        let turns = Budget::turns(1);
        let (many, few) = (turns.client(), turns.client());
        let turn = many.try_take(Amount::ARTICLE).unwrap();
        let mut one = Box::pin(many.take(Amount::ARTICLE));
        let mut left = Box::pin(many.take(Amount::ARTICLE));
        let mut two = Box::pin(many.take(Amount::ARTICLE));
        let mut other = Box::pin(few.take(Amount::ARTICLE));
        for waiting in [&mut one, &mut left, &mut two, &mut other] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(left);
        drop(turn);
        let turn = one.await;
        drop(turn);
        assert!(two.as_mut().now_or_never().is_none(), "the other client comes first");
        let turn = other.await;
        drop(turn);
        drop(two.await);
        assert_eq!(turns.held(), Amount::default());
        assert!(turns.0.state.lock().clients.is_empty());
    }

    #[tokio::test]
    async fn who_is_not_alone_has_few_places() {
        let places = Budget::places(100, 4);
        let (many, few) = (places.client(), places.client());
        let mut held: Vec<Share> =
            (0..50).map(|_| many.try_take(Amount::ARTICLE).unwrap()).collect();
        let other = few.try_take(Amount::ARTICLE).unwrap();
        let mut more = Box::pin(many.take(Amount::ARTICLE));
        assert!(more.as_mut().now_or_never().is_none());
        held.truncate(4);
        assert!(more.as_mut().now_or_never().is_none(), "it has its four");
        drop(other);
        assert!(more.as_mut().now_or_never().is_none(), "the other may be back at any moment");
        std::thread::sleep(IS_THERE);
        // Somebody gives something back, or this would not be looked at.
        drop(held.pop());
        drop(more.await);
        let other = few.try_take(Amount::ARTICLE).unwrap();
        held.truncate(3);
        held.push(many.take(Amount::ARTICLE).await);
        drop((held, other));
        assert_eq!(places.held(), Amount::default());
    }

    #[tokio::test]
    async fn a_share_granted_to_one_who_left_goes_to_the_next() {
        let turns = Budget::turns(1);
        let (one, two) = (turns.client(), turns.client());
        let turn = one.try_take(Amount::ARTICLE).unwrap();
        let mut first = Box::pin(one.take(Amount::ARTICLE));
        let mut second = Box::pin(two.take(Amount::ARTICLE));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(turn);
        // Granted, and never looked at.
        drop(first);
        drop(second.await);
        assert_eq!(turns.held(), Amount::default());
    }
}
