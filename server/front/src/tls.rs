//! TLS: its configuration from PEM, and the names in certificates of clients.

use std::sync::Arc;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, ServerConnection};
use webpki::EndEntityCert;

/// Makes the configuration of a server. With `authorities`, each client must have a certificate of
/// one of them.
pub fn config(
    chain: &[u8],
    key: &[u8],
    authorities: Option<&[u8]>,
) -> Result<ServerConfig, String> {
    let chain = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
    let builder = match authorities {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem)? {
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            let verifier = verifier.map_err(|error| error.to_string())?;
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Returns the URIs in the verified certificate of a client.
pub fn names(connection: &ServerConnection) -> Vec<String> {
    let Some(certificate) = connection.peer_certificates().and_then(<[_]>::first) else {
        return Vec::new();
    };
    match EndEntityCert::try_from(certificate) {
        Ok(parsed) => parsed.valid_uri_names().map(str::to_owned).collect(),
        Err(_) => Vec::new(),
    }
}
