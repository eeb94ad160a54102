//! What every replica does now and then, whoever left it to be done. All of it may be done twice,
//! or by two at the same time.

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::try_join_all;

use super::Shared;
use super::layout::{HEAD, Head, IdHash, Layout, Number, ON_ITS_WAY, OnItsWay, Submission};
use super::link::{Call, members};
use super::registry::{Collection, horizon_number};
use super::submit::{LEASE, abort, join, leave, settle, unmark};
use crate::store::StoreError;

/// How often the cluster is tried, and what others have changed is read.
const PERIOD: Duration = Duration::from_millis(500);

/// A cluster that has not answered for so long takes no writes.
const TRY_MAX: Duration = Duration::from_secs(5);

/// Every so many periods what was left undone is done.
const TIDY_EVERY: u32 = 10;

/// The logs of collections that were not used for so long are not followed.
const IN_USE: Duration = Duration::from_secs(10);

/// Articles that are removed at once from one shard.
const AT_ONCE: usize = 64;

/// Shards that are tried.
const TRIED_MAX: usize = 64;

/// Does it for as long as the store is there.
pub async fn run(shared: Weak<Shared>) {
    // Not one after the other: what is done now and then waits long for a cluster that is away.
    tokio::join!(watch(shared.clone()), keep_in_order(shared));
}

fn every_period() -> tokio::time::Interval {
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    period
}

/// Tries whether the cluster can be written to.
async fn watch(shared: Weak<Shared>) {
    let mut period = every_period();
    loop {
        period.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        let tried = tokio::time::timeout(TRY_MAX, try_to_write(&shared)).await;
        let fitness = match tried {
            Ok(Ok(())) => Ok(()),
            Ok(Err(full @ StoreError::Full(_))) => Err(full),
            Ok(Err(other)) => Err(StoreError::Closed(other.to_string().into())),
            Err(_) => {
                let seconds = TRY_MAX.as_secs();
                let reason = format!("a part of the cluster has not answered for {seconds} s");
                Err(StoreError::Closed(reason.into()))
            }
        };
        let is_away = matches!(fitness, Err(StoreError::Closed(_)));
        let was_fit = shared.open_for_writing().is_ok();
        match &fitness {
            Err(error) if was_fit => tracing::error!(%error, "the store takes no writes"),
            Ok(()) if !was_fit => tracing::warn!("the store takes writes again"),
            _ => {}
        }
        *shared.fitness.write() = fitness;
        if is_away {
            // If it does not come to anything it is done again after the next try.
            let _ = tokio::time::timeout(TRY_MAX, shared.link.reconnect()).await;
        }
    }
}

async fn keep_in_order(shared: Weak<Shared>) {
    let mut period = every_period();
    for turn in 0_u32.. {
        period.tick().await;
        let Some(shared) = shared.upgrade() else { return };
        if shared.open_for_writing().is_err() {
            continue;
        }
        let done = async {
            shared.registry.refresh(&shared.link).await?;
            for collection in shared.registry.all() {
                if collection.was_used_within(IN_USE) {
                    shared.catch_up(&collection, false).await?;
                }
            }
            if turn % TIDY_EVERY == TIDY_EVERY - 1 {
                tidy(&shared).await?;
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = done.await {
            tracing::debug!(%error, "what is done now and then is done later");
        }
    }
}

/// Writes something to shards of all collections, as far as they are not too many.
async fn try_to_write(shared: &Arc<Shared>) -> Result<(), StoreError> {
    let collections = shared.registry.all();
    let shards = collections.iter().flat_map(|collection| {
        let layout = &collection.layout;
        (0..layout.shards).map(|shard| layout.key(shard, "tried"))
    });
    let registry = [shared.registry.key(), b".tried"].concat();
    let tries = shards.take(TRIED_MAX).chain([registry]).map(|key| async move {
        let mut command = redis::cmd("SET");
        command.arg(&key).arg(1).arg("EX").arg(60);
        shared.link.write(&key, command).await.map(drop)
    });
    try_join_all(tries).await.map(drop)
}

async fn tidy(shared: &Arc<Shared>) -> Result<(), StoreError> {
    for collection in shared.registry.all() {
        for shard in 0..collection.layout.shards {
            reconcile(shared, &collection, shard).await?;
            forget(shared, &collection, shard).await?;
        }
    }
    for (field, layout) in shared.registry.gone(&shared.link).await? {
        shared.registry.mark_gone(&shared.link, &layout).await?;
        for shard in 0..layout.shards {
            clear(shared, &layout, shard).await?;
        }
        let mut command = redis::cmd("HDEL");
        command.arg(shared.registry.key()).arg(&field[..]);
        shared.link.write(shared.registry.key(), command).await?;
    }
    Ok(())
}

/// Brings to an end what somebody began and left: what was not committed is taken back, what was is
/// entered in its story and settled in its lists.
async fn reconcile(
    shared: &Arc<Shared>,
    collection: &Collection,
    shard: u32,
) -> Result<(), StoreError> {
    let layout = &collection.layout;
    let key = layout.on_their_way(shard);
    let left_before = LEASE.before(LEASE.before(super::now()));
    let mut command = redis::cmd("ZRANGEBYSCORE");
    command.arg(&key).arg("-inf").arg(left_before).arg("LIMIT").arg(0).arg(AT_ONCE);
    for id in members(shared.link.read(&key, command).await?) {
        let Some(id) = IdHash::from_bytes(&id) else { continue };
        let [head, way] = shared.link.fields(&layout.article(id), &[HEAD, ON_ITS_WAY]).await?;
        if let Some(OnItsWay { number, began }) = OnItsWay::from_bytes(&way) {
            if began < left_before {
                abort(shared, layout, Submission { number, id }).await?;
            }
            continue;
        }
        if let Some(head) = Head::from_bytes(&head) {
            join(shared, collection, head.submission(id), head.story).await?;
            let lists = layout.lists(&head.postings, head.fingerprint);
            settle(shared, layout, id, &lists, Some(head.story)).await?;
        }
        unmark(shared, layout, id).await?;
    }
    Ok(())
}

/// Removes what retention has forgotten, where its keys have not expired by themselves.
async fn forget(
    shared: &Arc<Shared>,
    collection: &Collection,
    shard: u32,
) -> Result<(), StoreError> {
    let horizon = horizon_number(collection.horizon());
    if horizon == 0 {
        return Ok(());
    }
    let (layout, key) = (&collection.layout, collection.layout.listing(shard));
    let before = format!("({horizon}");
    loop {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(&key).arg("-inf").arg(&before).arg("LIMIT").arg(0).arg(AT_ONCE);
        let forgotten = members(shared.link.read(&key, command).await?);
        for member in &forgotten {
            remove(shared, layout, shard, member, Some(horizon)).await?;
        }
        if forgotten.len() < AT_ONCE {
            break;
        }
    }
    let key = layout.stories(shard);
    let mut command = redis::cmd("ZREMRANGEBYSCORE");
    command.arg(&key).arg("-inf").arg(&before);
    shared.link.write(&key, command).await.map(drop)
}

/// Removes an article that a listing tells of, from everywhere; if there is an age, only what is
/// older.
async fn remove(
    shared: &Arc<Shared>,
    layout: &Layout,
    shard: u32,
    member: &[u8],
    age: Option<Number>,
) -> Result<(), StoreError> {
    let listing = layout.listing(shard);
    if let Some(id) = member.get(..IdHash::BYTES).and_then(IdHash::from_bytes) {
        let keys = [
            layout.article(id),
            listing.clone(),
            layout.revised(shard),
            layout.on_their_way(shard),
        ];
        let lease = LEASE.before(super::now()).to_string();
        let age = age.map(|age| age.to_string());
        let hash = id.bytes();
        let mut arguments: Vec<&[u8]> = vec![&hash, b"0", lease.as_bytes()];
        arguments.extend(age.as_ref().map(|age| age.as_bytes()));
        let answer = shared.link.call(Call::Delete, &keys, &arguments).await?;
        match answer.word() {
            b"kept" | b"busy" => return Ok(()),
            b"deleted" => {
                let Some(head) = Head::from_bytes(answer.bytes(1)) else { return Ok(()) };
                let lists = layout.lists(&head.postings, head.fingerprint);
                settle(shared, layout, id, &lists, None).await?;
                leave(shared, layout, id, head.story).await?;
            }
            _ => {}
        }
    }
    let mut command = redis::cmd("ZREM");
    command.arg(&listing).arg(member);
    shared.link.write(&listing, command).await.map(drop)
}

/// Removes what a collection that is gone has on a shard.
async fn clear(shared: &Arc<Shared>, layout: &Layout, shard: u32) -> Result<(), StoreError> {
    let key = layout.listing(shard);
    loop {
        let mut command = redis::cmd("ZRANGE");
        command.arg(&key).arg(0).arg(AT_ONCE - 1);
        let all = members(shared.link.read(&key, command).await?);
        for member in &all {
            remove(shared, layout, shard, member, None).await?;
        }
        if all.len() < AT_ONCE {
            break;
        }
    }
    let mut keys = vec![
        key,
        layout.revised(shard),
        layout.on_their_way(shard),
        layout.log(shard),
        layout.stories(shard),
    ];
    if shard == 0 {
        keys.push(layout.counts());
    }
    let mut command = redis::cmd("UNLINK");
    command.arg(&keys);
    shared.link.write(&keys[0], command).await.map(drop)
}
