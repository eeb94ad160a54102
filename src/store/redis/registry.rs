//! The collections, as this replica of newsprint knows them. The registry in the cluster is asked
//! again twice a second; what is changed by way of this replica is known at once.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};

use super::layout::{CollectionNumber, Layout, Number};
use super::link::{Call, Link, malformed, members};
use super::{Settings, counting::Counting};
use crate::article::{CollectionName, Timestamp};
use crate::duplicates::Counts;
use crate::store::embedded::Horizon;
use crate::store::embedded::record::CollectionRecord;
use crate::store::{CollectionSettings, StoreError};

/// The settings of a collection, and when they were changed.
#[derive(Debug, Clone, Copy)]
struct Known {
    settings: CollectionSettings,
    /// The second of the last change, 0 if there was none.
    changed: u32,
}

/// A collection.
pub struct Collection {
    pub name: CollectionName,
    pub layout: Layout,
    pub create_time: Timestamp,
    settings: RwLock<Known>,
    /// What is frame here.
    counts: OnceLock<Counts>,
    /// How far the logs of others are read.
    pub counting: tokio::sync::Mutex<Counting>,
    /// Articles counted since the counts were written down; whoever counts holds it.
    pub counted: Mutex<u64>,
    used: Mutex<Instant>,
}

impl Collection {
    pub fn settings(&self) -> CollectionSettings {
        self.settings.read().settings
    }

    /// Until this second lists may have been given another time to live than that of today's
    /// settings, by replicas of newsprint that had not heard of them yet; 0 if they never were.
    pub fn ttl_changed(&self) -> u32 {
        const HEARD_WITHIN_SECONDS: u32 = 60;
        match self.settings.read().changed {
            0 => 0,
            second => second + HEARD_WITHIN_SECONDS,
        }
    }

    pub fn counts(&self) -> &Counts {
        self.counts.get_or_init(Counts::default)
    }

    /// Goes on from these counts, if nothing was counted yet.
    pub fn begin_counts(&self, counts: Counts) {
        let _ = self.counts.set(counts);
    }

    pub fn horizon(&self) -> Horizon {
        Horizon::of(&self.settings())
    }

    /// How long what is written now is kept, in milliseconds; 0 for ever. It is a minute more than
    /// the retention, for clocks that differ: what is forgotten is told by its time.
    pub fn ttl_ms(&self) -> u64 {
        self.settings().retention.map_or(0, |retention| {
            (retention + Duration::from_secs(60)).as_millis().try_into().unwrap_or(u64::MAX)
        })
    }

    /// Says that it is being used, and tells whether it was in that time.
    pub fn touch(&self) {
        *self.used.lock() = Instant::now();
    }

    pub fn was_used_within(&self, time: Duration) -> bool {
        self.used.lock().elapsed() < time
    }
}

/// The number of the first submission that is not forgotten.
pub fn horizon_number(horizon: Horizon) -> Number {
    horizon.0.map_or(0, |moment| moment.micros().max(0) as Number)
}

pub struct Registry {
    key: Vec<u8>,
    namespace: String,
    shards: u32,
    collections_max: usize,
    known: RwLock<HashMap<CollectionName, Arc<Collection>>>,
    /// Whoever changes the registry or reads all of it does so alone: what was read before a change
    /// must not be taken for what is there after it.
    changing: tokio::sync::Mutex<()>,
    version: Mutex<Vec<u8>>,
}

impl Registry {
    pub fn new(settings: &Settings) -> Self {
        Registry {
            key: format!("{{{}}}registry", settings.namespace).into_bytes(),
            namespace: settings.namespace.clone(),
            shards: settings.shards,
            collections_max: settings.collections_max,
            known: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            version: Mutex::default(),
        }
    }

    pub fn key(&self) -> &[u8] {
        &self.key
    }

    pub fn all(&self) -> Vec<Arc<Collection>> {
        self.known.read().values().cloned().collect()
    }

    fn known(&self, name: &CollectionName) -> Option<Arc<Collection>> {
        self.known.read().get(name).cloned()
    }

    /// The collection of that name.
    pub async fn find(
        &self,
        link: &Arc<Link>,
        name: &CollectionName,
    ) -> Result<Option<Arc<Collection>>, StoreError> {
        if let Some(collection) = self.known(name) {
            return Ok(Some(collection));
        }
        let mut command = redis::cmd("HGET");
        command.arg(&self.key).arg(field(name));
        match link.read(&self.key, command).await? {
            redis::Value::BulkString(bytes) => Ok(Some(self.learn(name, &bytes)?)),
            _ => Ok(None),
        }
    }

    /// The collection of that name, made if it is not there.
    pub async fn ensure(
        &self,
        link: &Arc<Link>,
        name: &CollectionName,
    ) -> Result<Arc<Collection>, StoreError> {
        match self.known(name) {
            Some(collection) => Ok(collection),
            None => self.create(link, name, &[]).await,
        }
    }

    pub async fn update(
        &self,
        link: &Arc<Link>,
        name: &CollectionName,
        settings: CollectionSettings,
    ) -> Result<Arc<Collection>, StoreError> {
        let collection = self.create(link, name, &[]).await?;
        let record = CollectionRecord { number: 0, settings, create_time: collection.create_time };
        self.create(link, name, &record.to_bytes()?).await
    }

    /// Makes a collection as it is in another store.
    pub async fn adopt(
        &self,
        link: &Arc<Link>,
        name: &CollectionName,
        settings: CollectionSettings,
        create_time: Timestamp,
    ) -> Result<Arc<Collection>, StoreError> {
        let record = CollectionRecord { number: 0, settings, create_time };
        self.create(link, name, &record.to_bytes()?).await
    }

    /// Makes the collection if it is not there, and gives it these settings if there are any.
    async fn create(
        &self,
        link: &Arc<Link>,
        name: &CollectionName,
        settings: &[u8],
    ) -> Result<Arc<Collection>, StoreError> {
        let _alone = self.changing.lock().await;
        let default = CollectionRecord {
            number: 0,
            settings: CollectionSettings::default(),
            create_time: Timestamp::now(),
        };
        let (max, shards) = (self.collections_max.to_string(), self.shards.to_string());
        let arguments = [
            name.as_str().as_bytes(),
            settings,
            &default.to_bytes()?,
            max.as_bytes(),
            shards.as_bytes(),
        ];
        let answer = link.call(Call::Create, std::slice::from_ref(&self.key), &arguments).await?;
        match answer.word() {
            b"known" => self.learn(name, answer.bytes(1)),
            _ => Err(StoreError::TooManyCollections(self.collections_max)),
        }
    }

    /// Takes a collection out of the registry. Its data goes later, but nothing can be added to it
    /// any more when this returns.
    pub async fn remove(&self, link: &Arc<Link>, name: &CollectionName) -> Result<(), StoreError> {
        let _alone = self.changing.lock().await;
        let keys = std::slice::from_ref(&self.key);
        let answer = link.call(Call::Drop, keys, &[name.as_str().as_bytes()]).await?;
        self.known.write().remove(name);
        let gone = answer.bytes(1);
        let (Some((number, shards)), b"dropped") = (number_and_shards(gone), answer.word()) else {
            return Err(StoreError::NoCollection(name.clone()));
        };
        self.mark_gone(link, &Layout::new(&self.namespace, number, shards)).await
    }

    /// From here on no script adds anything to a collection, whoever still thinks it is there.
    pub async fn mark_gone(&self, link: &Arc<Link>, layout: &Layout) -> Result<(), StoreError> {
        const KEPT_SECONDS: u64 = 7 * 86_400;
        let marks = (0..layout.shards).map(|shard| async move {
            let key = layout.gone(shard);
            let mut command = redis::cmd("SET");
            command.arg(&key).arg(1).arg("EX").arg(KEPT_SECONDS);
            link.write(&key, command).await.map(drop)
        });
        futures_util::future::try_join_all(marks).await.map(drop)
    }

    /// Forgets what is known of a collection, so that it is asked for again.
    pub fn forget(&self, collection: &Collection) {
        let mut known = self.known.write();
        if known.get(&collection.name).is_some_and(|other| is_same(other, collection)) {
            known.remove(&collection.name);
        }
    }

    /// Reads the registry if it has changed.
    pub async fn refresh(&self, link: &Arc<Link>) -> Result<(), StoreError> {
        let _alone = self.changing.lock().await;
        let mut command = redis::cmd("HGET");
        command.arg(&self.key).arg("version");
        let redis::Value::BulkString(version) = link.read(&self.key, command).await? else {
            self.known.write().clear();
            return Ok(());
        };
        if *self.version.lock() == version {
            return Ok(());
        }
        let fields = self.fields(link).await?;
        let mut found = HashMap::new();
        for (name, value) in &fields {
            let Some(name) = name.strip_prefix(b"c:") else { continue };
            let name = String::from_utf8_lossy(name);
            let name = CollectionName::new(name.as_ref()).map_err(malformed)?;
            let collection = self.learn(&name, value)?;
            found.insert(name, collection);
        }
        self.known.write().retain(|name, _| found.contains_key(name));
        *self.version.lock() = version;
        Ok(())
    }

    /// Collections that are gone, whose data is to be removed, with the fields that say so.
    pub async fn gone(&self, link: &Arc<Link>) -> Result<Vec<(Vec<u8>, Layout)>, StoreError> {
        let fields = self.fields(link).await?;
        let gone = fields.into_iter().filter_map(|(field, _)| {
            let (number, shards) = number_and_shards(field.strip_prefix(b"d:")?)?;
            let layout = Layout::new(&self.namespace, number, shards);
            Some((field, layout))
        });
        Ok(gone.collect())
    }

    async fn fields(&self, link: &Arc<Link>) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StoreError> {
        let mut command = redis::cmd("HGETALL");
        command.arg(&self.key);
        let fields = members(link.read(&self.key, command).await?);
        let (pairs, _) = fields.as_chunks::<2>();
        Ok(pairs.iter().map(|[field, value]| (field.clone(), value.clone())).collect())
    }

    fn learn(&self, name: &CollectionName, value: &[u8]) -> Result<Arc<Collection>, StoreError> {
        let not_readable = || malformed(&format!("the registry's entry of '{name}' is malformed"));
        let (head, rest) = value.split_at_checked(8).ok_or_else(not_readable)?;
        let (number, shards) = number_and_shards(head).ok_or_else(not_readable)?;
        let (changed, record) = rest.split_first_chunk().ok_or_else(not_readable)?;
        let record = CollectionRecord::from_bytes(record)
            .map_err(|error| error.at(|| format!("collection '{name}'")))?;
        let settings = Known { settings: record.settings, changed: u32::from_be_bytes(*changed) };
        let mut known = self.known.write();
        if let Some(collection) = known.get(name)
            && collection.layout.number == number
        {
            *collection.settings.write() = settings;
            return Ok(Arc::clone(collection));
        }
        let collection = Arc::new(Collection {
            name: name.clone(),
            layout: Layout::new(&self.namespace, number, shards),
            create_time: record.create_time,
            settings: RwLock::new(settings),
            counts: OnceLock::new(),
            counting: tokio::sync::Mutex::default(),
            counted: Mutex::default(),
            used: Mutex::new(Instant::now()),
        });
        known.insert(name.clone(), Arc::clone(&collection));
        Ok(collection)
    }
}

fn is_same(a: &Collection, b: &Collection) -> bool {
    a.layout.number == b.layout.number
}

fn field(name: &CollectionName) -> Vec<u8> {
    [b"c:", name.as_str().as_bytes()].concat()
}

fn number_and_shards(bytes: &[u8]) -> Option<(CollectionNumber, u32)> {
    let (number, shards) = bytes.split_at_checked(4)?;
    Some((u32::from_be_bytes(number.try_into().ok()?), u32::from_be_bytes(shards.try_into().ok()?)))
}
