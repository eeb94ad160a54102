//! An article, its names, and the moments in its life.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::{NoContext, Uuid};
use xxhash_rust::xxh3::Xxh3Default;

/// An article as its sender has it, without its id.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Article {
    pub title: String,
    pub body: String,
    pub url: String,
    pub source: String,
    pub publish_time: Option<Timestamp>,
    /// A BCP 47 tag, or empty.
    pub language: String,
    pub attributes: BTreeMap<String, String>,
}

impl Article {
    /// A hash of everything the sender said. Two submissions under one id are the same one sent
    /// twice exactly if they agree on it.
    pub fn content_hash(&self) -> u128 {
        let mut hasher = Xxh3Default::new();
        let mut add = |field: &str| {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        };
        for field in [&self.title, &self.body, &self.url, &self.source, &self.language] {
            add(field);
        }
        for (key, value) in &self.attributes {
            add(key);
            add(value);
        }
        if let Some(time) = self.publish_time {
            hasher.update(&time.seconds.to_le_bytes());
            hasher.update(&time.nanos.to_le_bytes());
        }
        hasher.digest128()
    }
}

/// The name of an article within its collection: 1 to 256 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ArticleId(String);

impl ArticleId {
    pub const BYTES_MAX: usize = 256;

    pub fn new(id: impl Into<String>) -> Result<Self, &'static str> {
        let id = id.into();
        if id.is_empty() {
            return Err("must not be empty");
        }
        if id.len() > Self::BYTES_MAX {
            return Err("must be at most 256 bytes");
        }
        if id.chars().any(char::is_control) {
            return Err("must not contain control characters");
        }
        Ok(ArticleId(id))
    }

    /// An id for an article whose sender gave it none.
    pub fn generate() -> Self {
        ArticleId(new_uuid().to_string())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArticleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of a collection; the empty name stands for "default".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollectionName(String);

impl CollectionName {
    pub fn new(name: impl Into<String>) -> Result<Self, &'static str> {
        let name = name.into();
        if name.is_empty() { Ok(Self::default()) } else { check_name(name).map(CollectionName) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupName(String);

impl BackupName {
    pub fn new(name: impl Into<String>) -> Result<Self, &'static str> {
        check_name(name.into()).map(BackupName)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names of ours are 1 to 64 of a-z, 0-9, '-', '_' and '.', a letter or digit first: safe in
/// addresses and in file names.
fn check_name(name: String) -> Result<String, &'static str> {
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    if name.len() <= 64
        && name.starts_with(is_plain)
        && name.chars().all(|char| is_plain(char) || matches!(char, '-' | '_' | '.'))
    {
        Ok(name)
    } else {
        Err("must be 1 to 64 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit")
    }
}

impl Default for CollectionName {
    fn default() -> Self {
        CollectionName("default".to_owned())
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A UUID of version 7. A clock before 1970, which that version cannot tell, counts as 1970.
pub(crate) fn new_uuid() -> Uuid {
    uuid_of(Timestamp::now())
}

fn uuid_of(now: Timestamp) -> Uuid {
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, now.seconds.unsigned_abs(), now.nanos))
}

/// A point in time, as protobuf has it: seconds since 1970 UTC, and nanoseconds from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    pub seconds: i64,
    pub nanos: u32,
}

impl Timestamp {
    /// Now, to the microsecond, but no earlier than 1970.
    pub fn now() -> Self {
        Self::of_clock(SystemTime::now())
    }

    fn of_clock(clock: SystemTime) -> Self {
        let since_epoch = clock.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::from_micros(since_epoch.as_micros() as i64)
    }

    /// Microseconds since 1970; what is finer is dropped, what is out of range is the end of it.
    pub fn micros(self) -> i64 {
        let micros = i128::from(self.seconds) * 1_000_000 + i128::from(self.nanos / 1000);
        micros.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }

    pub fn from_micros(micros: i64) -> Self {
        Timestamp {
            seconds: micros.div_euclid(1_000_000),
            nanos: micros.rem_euclid(1_000_000) as u32 * 1000,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_before_1970_counts_as_1970() {
        let now = Timestamp::of_clock(UNIX_EPOCH - Duration::from_secs(86_400));
        assert_eq!(now, Timestamp { seconds: 0, nanos: 0 });
        let time = uuid_of(now).get_timestamp().unwrap();
        assert_eq!(time.to_unix(), (0, 0));
        let later = Timestamp::of_clock(UNIX_EPOCH + Duration::from_micros(1_500_000));
        assert_eq!(later, Timestamp { seconds: 1, nanos: 500_000_000 });
    }
}
