//! nghttpd: HTTP/2 over TLS, with a certificate made for this sitting.
//!
//! Invariant: the certificate and its key go with the sitting's folder.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Server, find, free_address};
use crate::process::Launch;
use crate::sitting::Sitting;
use crate::words;

pub(crate) const INSTALL: &str = "apt-get install nghttp2-server";

pub(crate) fn start(sitting: &Sitting) -> Result<Server<'_>> {
    let program = find(sitting, "nghttpd", INSTALL)?;
    certificate(sitting)?;
    let documents = sitting.folder().join("documents");
    std::fs::create_dir_all(&documents)?;
    std::fs::write(documents.join("index.html"), "{\"id\":\"abcd\"}")?;
    let address = free_address()?;
    let launch = Launch {
        program,
        arguments: words![
            "--workers=1",
            "--address=127.0.0.1",
            format!("--htdocs={}", documents.display()),
            address.port(),
            "key.pem",
            "certificate.pem",
        ],
        core: Some(sitting.cores.server),
    };
    Server::start(sitting, launch, address, true)
}

fn certificate(sitting: &Sitting) -> Result<()> {
    let launch = Launch {
        program: find(sitting, "openssl", "apt-get install openssl")?,
        arguments: words![
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-keyout",
            "key.pem",
            "-out",
            "certificate.pem",
        ],
        core: None,
    };
    let finished = launch.start(sitting)?.finish(Duration::from_secs(20))?;
    ensure!(
        finished.code == Some(0),
        "failed to make a certificate: {}",
        finished.last_words()
    );
    Ok(())
}
