//! The way to the cluster: scripts are called here, many at a time, and what goes wrong becomes an
//! error of the store.
//!
//! Calls for one slot leave together: while some are on their way others gather, and go in one
//! pipeline when those are answered. So however many articles are in work, and whatever state the
//! cluster is in, no more than one pipeline is on its way to a slot: calls that fail cannot become
//! a storm. A pipeline that writes ends with `WAIT`: it is answered when so many replicas of the
//! node have what it wrote.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use redis::cluster::{ClusterClient, ClusterClientBuilder};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{
    MultipleNodeRoutingInfo, Route, RoutingInfo, SingleNodeRoutingInfo, Slot, SlotAddr,
};
use redis::{Cmd, Pipeline, RedisError, ServerErrorKind, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::Settings;
use crate::store::StoreError;

/// How long a node may take to accept a connection, and to answer a pipeline.
const CONNECT_MAX: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(4);

/// How long a call may take with everything that is tried for it.
const CALL_MAX: Duration = Duration::from_secs(8);

/// A call that met a moved slot, a failed connection or a cluster without a master is repeated so
/// often, after waits of so many milliseconds. Everything that is called may be repeated.
const RETRIES: u32 = 4;
const RETRY_WAIT_MS: (u64, u64) = (20, 400);

/// How long `WAIT` waits for replicas.
const REPLICAS_MAX: Duration = Duration::from_secs(3);

/// So many calls leave in one pipeline at most.
const CALLS_MAX: usize = 256;

/// Scripts, each one step on one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Publish,
    Settle,
    Begin,
    Read,
    Commit,
    Abort,
    Join,
    Leave,
    Delete,
    Create,
    Drop,
}

const SCRIPTS: [(Call, &str); 11] = [
    (
        Call::Publish,
        concat!(
            include_str!("scripts/entries.lua"),
            include_str!("scripts/enter.lua"),
            include_str!("scripts/publish.lua")
        ),
    ),
    (
        Call::Settle,
        concat!(include_str!("scripts/entries.lua"), include_str!("scripts/settle.lua")),
    ),
    (
        Call::Begin,
        concat!(
            include_str!("scripts/head.lua"),
            include_str!("scripts/entries.lua"),
            include_str!("scripts/enter.lua"),
            include_str!("scripts/begin.lua")
        ),
    ),
    (Call::Read, concat!(include_str!("scripts/head.lua"), include_str!("scripts/read.lua"))),
    (Call::Commit, concat!(include_str!("scripts/head.lua"), include_str!("scripts/commit.lua"))),
    (Call::Abort, concat!(include_str!("scripts/head.lua"), include_str!("scripts/abort.lua"))),
    (Call::Join, include_str!("scripts/join.lua")),
    (Call::Leave, include_str!("scripts/leave.lua")),
    (Call::Delete, concat!(include_str!("scripts/head.lua"), include_str!("scripts/delete.lua"))),
    (Call::Create, include_str!("scripts/create.lua")),
    (Call::Drop, include_str!("scripts/drop.lua")),
];

/// What was sent so far, for whoever wants to know what an article costs.
#[derive(Debug, Default)]
pub struct Costs {
    /// Commands, `WAIT` included.
    pub commands: AtomicU64,
    /// Pipelines that they left in.
    pub pipelines: AtomicU64,
    pub bytes_sent: AtomicU64,
    pub bytes_received: AtomicU64,
    /// Times that a submission waited for answers before it could go on.
    pub waits: AtomicU64,
}

impl Costs {
    pub fn count_wait(&self) {
        self.waits.fetch_add(1, Ordering::Relaxed);
    }
}

pub struct Link {
    client: ClusterClient,
    connections: RwLock<Connections>,
    replicas: u32,
    lanes: Mutex<HashMap<(Slot, Access), Arc<Lane>>>,
    hashes: Vec<redis::Script>,
    /// How often scripts were loaded; whoever loads them holds the lock.
    loads: AtomicU64,
    loading: tokio::sync::Mutex<()>,
    runtime: Handle,
    pub costs: Costs,
}

/// Two connections to every node: who reads does not wait for replicas.
struct Connections {
    reads: ClusterConnection,
    writes: ClusterConnection,
}

impl Connections {
    async fn new(client: &ClusterClient) -> Result<Self, StoreError> {
        let connect = async || client.get_async_connection().await.map_err(unreachable);
        let (reads, writes) = tokio::try_join!(connect(), connect())?;
        Ok(Connections { reads, writes })
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    Read,
    /// It changes what has to be there after a failure.
    Write,
    /// It changes what may as well be found undone: somebody does it later.
    Tidy,
}

/// The calls for one slot.
struct Lane {
    slot: Slot,
    access: Access,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    is_in_work: bool,
}

struct Job {
    command: Cmd,
    /// The node's answer, which may be that it refuses.
    reply: oneshot::Sender<Result<Value, StoreError>>,
}

impl Link {
    /// Connects to the cluster, from a thread of the runtime that is to drive the connections.
    pub async fn connect(settings: &Settings) -> Result<Arc<Self>, StoreError> {
        let client = ClusterClientBuilder::new(settings.nodes.iter().map(String::as_str))
            .connection_timeout(CONNECT_MAX)
            .response_timeout(ANSWER_MAX)
            .overall_response_timeout(Some(CALL_MAX))
            .retries(RETRIES)
            .min_retry_wait(RETRY_WAIT_MS.0)
            .max_retry_wait(RETRY_WAIT_MS.1)
            .build()
            .map_err(unreachable)?;
        let connected = Connections::new(&client).await;
        let link = Link {
            connections: RwLock::new(connected.map_err(|error| error_at(settings, error))?),
            client,
            replicas: settings.replicas,
            lanes: Mutex::default(),
            hashes: SCRIPTS.iter().map(|(_, source)| redis::Script::new(source)).collect(),
            loads: AtomicU64::default(),
            loading: tokio::sync::Mutex::default(),
            runtime: Handle::current(),
            costs: Costs::default(),
        };
        link.load_scripts(0).await?;
        Ok(Arc::new(link))
    }

    /// Connects anew and asks who serves what. The client does so by itself where a node refuses
    /// or closes a connection, but not where one is silent: it would go on asking one that another
    /// has taken over for.
    pub async fn reconnect(&self) -> Result<(), StoreError> {
        let connections = Connections::new(&self.client).await?;
        *self.connections.write() = connections;
        Ok(())
    }

    fn connection(&self, access: Access) -> ClusterConnection {
        let connections = self.connections.read();
        match access {
            Access::Read | Access::Tidy => connections.reads.clone(),
            Access::Write => connections.writes.clone(),
        }
    }

    /// Loads the scripts everywhere, unless somebody else has since they were loaded so often. A node
    /// that joined, was restarted or took over for another has none of them.
    async fn load_scripts(&self, after: u64) -> Result<(), StoreError> {
        let _alone = self.loading.lock().await;
        if self.loads.load(Ordering::Acquire) != after {
            return Ok(());
        }
        for (_, source) in SCRIPTS {
            let mut load = redis::cmd("SCRIPT");
            load.arg("LOAD").arg(source);
            let everywhere = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
            let mut connection = self.connection(Access::Write);
            connection.route_command(load, everywhere).await.map_err(unreachable)?;
        }
        self.loads.store(after + 1, Ordering::Release);
        Ok(())
    }

    /// Calls a script.
    pub async fn call(
        self: &Arc<Self>,
        call: Call,
        keys: &[Vec<u8>],
        arguments: &[&[u8]],
    ) -> Result<Answer, StoreError> {
        let access = match call {
            Call::Read => Access::Read,
            Call::Settle | Call::Abort => Access::Tidy,
            _ => Access::Write,
        };
        self.call_as(call, access, keys, arguments).await
    }

    /// Calls a script that, the way it is called, only reads.
    pub async fn call_as(
        self: &Arc<Self>,
        call: Call,
        access: Access,
        keys: &[Vec<u8>],
        arguments: &[&[u8]],
    ) -> Result<Answer, StoreError> {
        let Some(key) = keys.first() else { return Ok(Answer(Vec::new())) };
        let command = || {
            let mut command = redis::cmd("EVALSHA");
            command.arg(self.hashes[call as usize].get_hash()).arg(keys.len());
            command.arg(keys).arg(arguments);
            command
        };
        let loads = self.loads.load(Ordering::Acquire);
        let mut value = self.send(key, command(), access).await?;
        if lacks_script(&value) {
            self.load_scripts(loads).await?;
            value = self.send(key, command(), access).await?;
        }
        Answer::of(value.extract_error().map_err(failed)?)
    }

    /// Reads with one of the cluster's own commands.
    pub async fn read(self: &Arc<Self>, key: &[u8], command: Cmd) -> Result<Value, StoreError> {
        self.send(key, command, Access::Read).await?.extract_error().map_err(failed)
    }

    /// Reads fields of a hash; those that are not there, or not asked for, are empty.
    pub async fn fields<const COUNT: usize>(
        self: &Arc<Self>,
        key: &[u8],
        names: &[&str],
    ) -> Result<[Vec<u8>; COUNT], StoreError> {
        let mut command = redis::cmd("HMGET");
        command.arg(key).arg(names);
        let mut values = members(self.read(key, command).await?);
        values.resize(COUNT, Vec::new());
        Ok(values.try_into().unwrap_or_else(|_| std::array::from_fn(|_| Vec::new())))
    }

    /// Writes with one of the cluster's own commands.
    pub async fn write(self: &Arc<Self>, key: &[u8], command: Cmd) -> Result<Value, StoreError> {
        self.send(key, command, Access::Write).await?.extract_error().map_err(failed)
    }

    /// The node's own answer to a command.
    async fn send(
        self: &Arc<Self>,
        key: &[u8],
        command: Cmd,
        access: Access,
    ) -> Result<Value, StoreError> {
        let slot = Slot::for_key(key);
        let lane = {
            let mut lanes = self.lanes.lock();
            let lane = || Arc::new(Lane { slot, access, queue: Mutex::default() });
            Arc::clone(lanes.entry((slot, access)).or_insert_with(lane))
        };
        let (reply, answer) = oneshot::channel();
        let is_first = {
            let queue = &mut *lane.queue.lock();
            queue.jobs.push(Job { command, reply });
            !std::mem::replace(&mut queue.is_in_work, true)
        };
        if is_first {
            self.runtime.spawn(Arc::clone(self).work(lane));
        }
        answer.await.map_err(|_| StoreError::Closed("the store is closing".into()))?
    }

    /// Sends what waits in a lane until nothing does.
    async fn work(self: Arc<Self>, lane: Arc<Lane>) {
        loop {
            let jobs = {
                let queue = &mut *lane.queue.lock();
                // Whoever has left wants nothing more.
                queue.jobs.retain(|job| !job.reply.is_closed());
                if queue.jobs.is_empty() {
                    queue.is_in_work = false;
                    return;
                }
                let count = queue.jobs.len().min(CALLS_MAX);
                queue.jobs.drain(..count).collect::<Vec<Job>>()
            };
            let (commands, replies): (Vec<Cmd>, Vec<_>) =
                jobs.into_iter().map(|job| (job.command, job.reply)).unzip();
            match self.send_all(&lane, commands).await {
                Ok(values) => {
                    for (reply, value) in replies.into_iter().zip(values) {
                        let _ = reply.send(Ok(value));
                    }
                }
                Err(error) => {
                    for reply in replies {
                        let _ = reply.send(Err(error.clone()));
                    }
                }
            }
        }
    }

    async fn send_all(&self, lane: &Lane, commands: Vec<Cmd>) -> Result<Vec<Value>, StoreError> {
        let waits = lane.access == Access::Write && self.replicas > 0;
        let mut values = self.pipeline(lane, commands, waits).await?;
        if waits {
            match values.pop() {
                Some(Value::Int(replicas)) if replicas >= i64::from(self.replicas) => {}
                Some(Value::Int(replicas)) => {
                    return Err(few_replicas(replicas, self.replicas));
                }
                other => return Err(malformed(&format!("WAIT answered {other:?}"))),
            }
        }
        Ok(values)
    }

    async fn pipeline(
        &self,
        lane: &Lane,
        commands: Vec<Cmd>,
        waits: bool,
    ) -> Result<Vec<Value>, StoreError> {
        let mut pipeline = Pipeline::with_capacity(commands.len() + 1);
        let sent: usize = commands.iter().map(sent_size).sum();
        for command in commands {
            pipeline.add_command(command);
        }
        if waits {
            pipeline.cmd("WAIT").arg(self.replicas).arg(REPLICAS_MAX.as_millis() as u64);
        }
        let count = pipeline.len();
        let route = Route::with_slot(lane.slot, SlotAddr::Master);
        let route = SingleNodeRoutingInfo::SpecificNode(route);
        let mut connection = self.connection(lane.access);
        let values = connection.route_pipeline(pipeline, 0, count, route).await;
        let values = values.map_err(failed)?;
        if values.len() != count {
            return Err(malformed("a pipeline was answered in part"));
        }
        self.costs.commands.fetch_add(count as u64, Ordering::Relaxed);
        self.costs.pipelines.fetch_add(1, Ordering::Relaxed);
        self.costs.bytes_sent.fetch_add(sent as u64, Ordering::Relaxed);
        let received: usize = values.iter().map(size).sum();
        self.costs.bytes_received.fetch_add(received as u64, Ordering::Relaxed);
        Ok(values)
    }
}

fn lacks_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error)
        if error.kind() == Some(ServerErrorKind::NoScript))
}

/// What a command is long on its way: its arguments, and some bytes that say how long each is.
fn sent_size(command: &Cmd) -> usize {
    let len = |argument: redis::Arg<&[u8]>| match argument {
        redis::Arg::Simple(bytes) => bytes.len() + 8,
        _ => 8,
    };
    command.args_iter().map(len).sum()
}

fn size(value: &Value) -> usize {
    match value {
        Value::BulkString(bytes) => bytes.len() + 8,
        Value::Array(values) => values.iter().map(size).sum::<usize>() + 4,
        _ => 8,
    }
}

/// What a script answered.
#[derive(Debug)]
pub struct Answer(Vec<Value>);

impl Answer {
    fn of(value: Value) -> Result<Self, StoreError> {
        match value {
            Value::Array(values) => Ok(Answer(values)),
            other => Err(malformed(&format!("a script answered {other:?}"))),
        }
    }

    /// The word that most answers begin with.
    pub fn word(&self) -> &[u8] {
        self.bytes(0)
    }

    /// What stands at a place; nothing if that is not there.
    pub fn bytes(&self, place: usize) -> &[u8] {
        match self.0.get(place) {
            Some(Value::BulkString(bytes)) => bytes,
            _ => &[],
        }
    }
}

/// The members of a list that a command answered, as bytes.
pub fn members(value: Value) -> Vec<Vec<u8>> {
    match value {
        Value::Array(values) => values
            .into_iter()
            .map(|value| match value {
                Value::BulkString(bytes) => bytes,
                _ => Vec::new(),
            })
            .collect(),
        _ => Vec::new(),
    }
}

pub fn malformed(what: &str) -> StoreError {
    StoreError::Damaged(format!("the cluster: {what}"))
}

fn few_replicas(replicas: i64, wanted: u32) -> StoreError {
    let what = format!(
        "{replicas} of {wanted} replicas have it; start more, or ask for fewer (?replicas=…)"
    );
    StoreError::io("the cluster has not kept a change")(std::io::Error::other(what))
}

/// The error with the addresses that were tried.
fn error_at(settings: &Settings, error: StoreError) -> StoreError {
    let hosts = settings.hosts().join(", ");
    let cause = match error {
        StoreError::Io { error, .. } => error.to_string(),
        other => other.to_string(),
    };
    StoreError::io("the cluster cannot be reached")(std::io::Error::other(format!(
        "{hosts}: {cause}"
    )))
}

fn unreachable(error: RedisError) -> StoreError {
    StoreError::io("the cluster cannot be reached")(std::io::Error::other(error.to_string()))
}

fn failed(error: impl Into<RedisError>) -> StoreError {
    let error: RedisError = error.into();
    match error.code() {
        Some("OOM") => StoreError::Full("a node of the cluster is at its memory limit".into()),
        _ => unreachable(error),
    }
}
