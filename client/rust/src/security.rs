//! The TLS files and the token of a client.

use std::path::PathBuf;
use std::{env, fmt, fs};

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use tonic::{Code, Status};

use crate::error::{Error, Result};

/// The files of an encrypted connection, in PEM. They are read when the client is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The certificates of the authorities to trust. `None` means the public authorities of this
    /// machine.
    pub ca: Option<PathBuf>,
    /// The certificate of this client, for servers that ask for one, and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Returns the files of `PODIUM_TLS_CA`, `PODIUM_TLS_CERT` and `PODIUM_TLS_KEY`, or `None` if
    /// none of them is set.
    pub(crate) fn from_env() -> Result<Option<Self>> {
        let [ca, cert, key] = ["PODIUM_TLS_CA", "PODIUM_TLS_CERT", "PODIUM_TLS_KEY"]
            .map(|name| variable(name).map(PathBuf::from));
        let identity = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => {
                let message = "PODIUM_TLS_CERT and PODIUM_TLS_KEY belong together: set both";
                return Err(Error::new(Code::InvalidArgument, message));
            }
        };
        Ok((ca.is_some() || identity.is_some()).then_some(Self { ca, identity }))
    }

    pub(crate) fn config(&self) -> Result<ClientTlsConfig> {
        let config = ClientTlsConfig::new();
        let config = match &self.ca {
            Some(ca) => config.ca_certificate(Certificate::from_pem(content(ca)?)),
            None => config.with_native_roots(),
        };
        Ok(match &self.identity {
            Some((cert, key)) => config.identity(Identity::from_pem(content(cert)?, content(key)?)),
            None => config,
        })
    }
}

fn content(path: &PathBuf) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| {
        let message = format!("{} cannot be read: {error}", path.display());
        Error::new(Code::InvalidArgument, message)
    })
}

/// The source of the token that each call sends.
#[derive(Clone)]
pub(crate) enum Token {
    Text(String),
    /// A file, which is read before each attempt at a call.
    File(PathBuf),
}

impl Token {
    /// Returns the token of `PODIUM_TOKEN`, or the file of `PODIUM_TOKEN_FILE`.
    pub(crate) fn from_env() -> Option<Self> {
        let text = variable("PODIUM_TOKEN").map(Self::Text);
        text.or_else(|| variable("PODIUM_TOKEN_FILE").map(|path| Self::File(path.into())))
    }

    fn header(&self) -> Result<MetadataValue<Ascii>, Status> {
        let text = match self {
            Self::Text(text) => text.clone(),
            Self::File(path) => fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                Status::unauthenticated(format!("the token's file {path} cannot be read: {error}"))
            })?,
        };
        let mut header: MetadataValue<Ascii> = format!("Bearer {}", text.trim())
            .parse()
            .map_err(|_| Status::unauthenticated("a token is pdm_ID_SECRET, in one line"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// The metadata of each call.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallMetadata {
    pub(crate) given: MetadataMap,
    pub(crate) token: Option<Token>,
    /// Whether others could read a token on the way to the server.
    pub(crate) is_exposed: bool,
}

impl CallMetadata {
    /// Returns the metadata of one attempt at a call to an address.
    pub(crate) fn of_call(&self, address: &str) -> Result<MetadataMap, Status> {
        let mut metadata = self.given.clone();
        if let Some(token) = &self.token {
            metadata.insert("authorization", token.header()?);
        }
        if self.is_exposed && metadata.contains_key("authorization") {
            return Err(Status::unauthenticated(format!(
                "the token is not sent to {address} without encryption: set PODIUM_TLS_CA, or use \
                 Builder::tls"
            )));
        }
        Ok(metadata)
    }
}

/// Returns whether only this machine can reach an address, so that it needs no encryption.
pub(crate) fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let is_ip = host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    address.starts_with("unix:")
        || ["localhost", "[::1]"].contains(&host)
        || (host.starts_with("127.") && is_ip)
}

fn variable(name: &str) -> Option<String> {
    let text = env::var(name).unwrap_or_default().trim().to_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::{CallMetadata, Token, is_local};

    /// A name that only begins like a loopback address is another machine.
    #[test]
    fn local_addresses() {
        for local in [
            "localhost:1",
            "127.0.0.1:1",
            "127.9.8.7:1",
            "[::1]:1",
            "unix:/x",
        ] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "127.evil.example:1",
            "10.0.0.1:1",
            "localhost.example:1",
            "[::2]:1",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }

    /// A token's text is in no debug output, neither of its own nor of the header.
    #[test]
    fn tokens_are_not_shown() {
        let metadata = CallMetadata {
            token: Some(Token::Text("pdm_secret".to_owned())),
            ..Default::default()
        };
        assert!(!format!("{metadata:?}").contains("pdm_secret"));
        let sent = metadata.of_call("localhost:1").unwrap();
        assert_eq!(sent.get("authorization").unwrap(), "Bearer pdm_secret");
        assert!(!format!("{sent:?}").contains("pdm_secret"));
    }
}
