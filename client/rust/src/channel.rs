//! Addresses, and channels to servers.

use std::time::Duration;

use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::error::{Error, Result, cause_of};
use crate::security::Tls;

const USER_AGENT: &str = concat!("podium-rust/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the address of each server in a list of addresses, without repetitions.
pub(crate) fn addresses(list: &str) -> Vec<&str> {
    let list = list.trim();
    if list.starts_with("unix:") {
        return vec![list];
    }
    let mut addresses = Vec::new();
    for address in list.split(',').map(str::trim) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Returns a channel that connects with its first call, and again after the connection is lost.
pub(crate) fn channel(address: &str, tls: Option<&Tls>) -> Result<Channel> {
    let endpoint = endpoint(address, tls.is_some()).ok_or_else(|| malformed(address))?;
    if tokio::runtime::Handle::try_current().is_err() {
        let message = "a client is made within a Tokio runtime, such as #[tokio::main]";
        return Err(Error::new(Code::FailedPrecondition, message));
    }
    Ok(encrypted(endpoint, address, tls)?
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_lazy())
}

/// Returns the channel to one of several servers, which has no socket.
pub(crate) fn channel_to_one(address: &str, tls: Option<&Tls>) -> Result<Channel> {
    if address.starts_with("unix:") {
        return Err(malformed(address));
    }
    channel(address, tls)
}

fn malformed(address: &str) -> Error {
    let message = format!("an address is HOST:PORT or unix:PATH, not {address:?}");
    Error::new(Code::InvalidArgument, message)
}

fn endpoint(address: &str, is_encrypted: bool) -> Option<Endpoint> {
    let uri = if let Some(path) = address.strip_prefix("unix:") {
        (!path.is_empty()).then(|| address.to_owned())?
    } else {
        let (host, port) = address.rsplit_once(':')?;
        let sound = !host.is_empty() && !host.contains(['/', '@', '?', '#']);
        port.parse::<u16>().ok().filter(|_| sound)?;
        format!(
            "{}://{address}",
            if is_encrypted { "https" } else { "http" }
        )
    };
    Endpoint::from_shared(uri).ok()?.user_agent(USER_AGENT).ok()
}

fn encrypted(endpoint: Endpoint, address: &str, tls: Option<&Tls>) -> Result<Endpoint> {
    let Some(tls) = tls else { return Ok(endpoint) };
    if address.starts_with("unix:") {
        let message = "TLS is not used on unix:PATH addresses; leave out tls";
        return Err(Error::new(Code::InvalidArgument, message));
    }
    endpoint.tls_config(tls.config()?).map_err(|error| {
        let message = format!("the files of TLS cannot be used: {}", cause_of(&error));
        Error::new(Code::InvalidArgument, message)
    })
}

#[cfg(test)]
mod tests {
    use super::{addresses, endpoint};

    /// White space and repetitions are left out. A socket may have a comma in its path.
    #[test]
    fn lists_of_addresses() {
        assert_eq!(addresses(" one:1, [::1]:2,one:1\n"), ["one:1", "[::1]:2"]);
        assert_eq!(addresses("unix:/run/a,b"), ["unix:/run/a,b"]);
        assert_eq!(addresses("one:1,"), ["one:1", ""]);
    }

    /// Only HOST:PORT and unix:PATH are addresses.
    #[test]
    fn good_and_bad_addresses() {
        for good in ["localhost:50051", "127.0.0.1:1", "[::1]:2", "unix:/tmp/x"] {
            assert!(endpoint(good, false).is_some(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            ":1",
            "h:",
            "h:99999",
            "http://h:1",
            "h:1/x",
            "unix:",
            "a b:1",
        ] {
            assert!(endpoint(bad, false).is_none(), "{bad}");
        }
    }
}
