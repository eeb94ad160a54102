//! Where the cluster is and how it is used: `redis://user:password@host,host:7001?replicas=2`.

use crate::config::StoreUrl;

use super::layout::SHARDS_MAX;

/// How a cluster is used.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// Addresses of some of its nodes, as the client takes them.
    pub nodes: Vec<String>,
    /// What all keys begin with: stores of different names in one cluster know nothing of each
    /// other.
    pub namespace: String,
    /// Into how many shards a new collection is divided.
    pub shards: u32,
    /// So many replicas of a node must have a change before it is answered.
    pub replicas: u32,
    pub collections_max: usize,
}

/// Of three masters each has two; an article costs a few calls for each.
const SHARDS: u32 = 6;

impl Settings {
    /// Reads an address; if it cannot be used, says why.
    pub fn from_url(url: &StoreUrl, collections_max: usize) -> Result<Self, String> {
        let (address, query) = url.as_str().split_once('?').unwrap_or((url.as_str(), ""));
        let (scheme, authority) = address.split_once("://").unwrap_or_default();
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let node = |host: &str| format!("{scheme}://{user}{host}");
        let nodes: Vec<String> = hosts.split(',').map(node).collect();
        if hosts.split(',').any(str::is_empty) {
            return Err("it must name at least one host, such as redis://one:6379,two:6379".into());
        }
        let mut settings = Settings {
            nodes,
            namespace: "newsprint".to_owned(),
            shards: SHARDS,
            replicas: 1,
            collections_max,
        };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let number = |min: u32, max: u32| {
                let number = value.parse().ok().filter(|number| (min..=max).contains(number));
                number.ok_or_else(|| format!("{name} must be between {min} and {max}"))
            };
            match name {
                "namespace" if is_name(value) => settings.namespace = value.to_owned(),
                "namespace" => return Err("namespace must be of a-z, 0-9 and '-'".into()),
                "shards" => settings.shards = number(1, SHARDS_MAX)?,
                "replicas" => settings.replicas = number(0, 16)?,
                _ => {
                    return Err(format!(
                        "there is no option '{name}': namespace, shards and replicas are all"
                    ));
                }
            }
        }
        Ok(settings)
    }
}

impl Settings {
    /// The nodes as people may see them: without users and passwords.
    pub fn hosts(&self) -> Vec<&str> {
        let host = |node: &'_ String| node.rfind(['@', '/']).map_or(0, |place| place + 1);
        self.nodes.iter().map(|node| &node[host(node)..]).collect()
    }
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=32).contains(&name.len()) && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Settings, String> {
        Settings::from_url(&url.parse().unwrap(), 10)
    }

    #[test]
    fn an_address_names_nodes_user_and_options() {
        let settings = read("rediss://news:secret@one:7000,two/?shards=64&replicas=0").unwrap();
        assert_eq!(settings.nodes, ["rediss://news:secret@one:7000", "rediss://news:secret@two"]);
        assert_eq!((settings.shards, settings.replicas), (64, 0));
        assert_eq!(settings.hosts(), ["one:7000", "two"]);
        assert_eq!(read("redis://one?namespace=a-1").unwrap().namespace, "a-1");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        for (url, told) in [
            ("redis://", "host"),
            ("redis://one,,two", "host"),
            ("redis://one?shards=0", "shards"),
            ("redis://one?replicas=x", "replicas"),
            ("redis://one?namespace=A", "namespace"),
            ("redis://one?colour=red", "colour"),
        ] {
            let refused = read(url).err().unwrap_or_default();
            assert!(refused.contains(told), "{url}: {refused}");
        }
    }
}
