//! Work that is done side by side, and its results taken in order.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{available_parallelism, scope};

/// So many threads work at most: more of them wait for memory and for whoever takes the results.
const THREADS_MAX: usize = 8;

/// How many pieces of work are done at once, with at most so many results of each thread waiting.
pub struct Pieces {
    pub count: usize,
    pub ahead: usize,
}

impl Pieces {
    /// Does the pieces of work on all processors and hands the results on in the order of their
    /// numbers, until they are no longer taken. Each thread has a state of its own.
    pub fn in_order<State: Default, T: Send, R>(
        self,
        work: impl Fn(&mut State, usize) -> T + Sync,
        then: impl FnOnce(&mut dyn Iterator<Item = T>) -> R,
    ) -> R {
        let threads = available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
        let threads = threads.min(self.count).max(1);
        let work = &work;
        scope(|scope| {
            // The threads take turns, and so their results are taken in turns.
            let results: Vec<Receiver<T>> = (0..threads)
                .map(|thread| {
                    let (sender, results) = sync_channel(self.ahead);
                    scope.spawn(move || {
                        let mut state = State::default();
                        (thread..self.count)
                            .step_by(threads)
                            .try_for_each(|number| sender.send(work(&mut state, number)))
                    });
                    results
                })
                .collect();
            // A thread that is gone has panicked, and so will the scope.
            let next = |number: usize| results[number % threads].recv().ok();
            then(&mut (0..self.count).map_while(next))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_until_they_are_not_taken() {
        for count in [0, 1, 2, 100] {
            let done = |state: &mut usize, number| {
                *state += 1;
                (number, *state > 0)
            };
            let pieces = || Pieces { count, ahead: 1 };
            let all: Vec<_> = pieces().in_order(done, |results| results.collect());
            assert_eq!(all, (0..count).map(|number| (number, true)).collect::<Vec<_>>());
            let some = pieces().in_order(done, |results| results.take(3).count());
            assert_eq!(some, count.min(3));
        }
    }
}
