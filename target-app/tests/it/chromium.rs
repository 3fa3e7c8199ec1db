//! A browser of the machine's own, told by the `DevTools` protocol what a person would do.
//!
//! It is spoken to over a pair of pipes, in JSON divided by zero bytes, which needs no port and no
//! library: <https://chromedevtools.github.io/devtools-protocol/>, `--remote-debugging-pipe`. The pipes
//! must be descriptors 3 and 4, so a shell moves them there and becomes the browser.
//!
//! Invariant: every wait is bounded, and the browser and its folder are gone when it is dropped.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::skipping::skip;

/// How long the browser may take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
const FLAGS: [&str; 11] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
];

/// The program of the browser; without one, the test that wants it is skipped, or fails where nothing
/// may be.
pub(crate) fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places =
        std::env::split_paths(&path).flat_map(|folder| PROGRAMS.map(|name| folder.join(name)));
    let found = places.find(|place| place.is_file());
    if found.is_none() {
        skip("no Chromium on this machine: apt-get install chromium");
    }
    found
}

/// One page of a browser.
pub(crate) struct Page {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    session: Option<String>,
    sent: u64,
    events: VecDeque<Value>,
    child: Child,
    _profile: TempDir,
}

impl Page {
    /// Starts the browser with an empty page of so many points width.
    pub(crate) async fn open(program: &PathBuf, width: u32, height: u32) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args([
                "-c",
                "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1",
                "sh",
            ])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut page = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()),
            session: None,
            sent: 0,
            events: VecDeque::new(),
            child,
            _profile: profile,
        };
        let target = page
            .tell("Target.createTarget", json!({ "url": "about:blank" }))
            .await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = page.tell("Target.attachToTarget", attach).await;
        page.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in [
            "Page.enable",
            "Runtime.enable",
            "Log.enable",
            "Accessibility.enable",
        ] {
            page.tell(domain, json!({})).await;
        }
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 700 });
        page.tell("Emulation.setDeviceMetricsOverride", screen)
            .await;
        page
    }

    /// Sends one command and gives its result.
    pub(crate) async fn tell(&mut self, method: &str, params: Value) -> Value {
        self.sent += 1;
        let mut message = json!({ "id": self.sent, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let line = format!("{message}\0");
        self.input.write_all(line.as_bytes()).await.unwrap();
        loop {
            let answer = self.next().await;
            if answer["id"] != self.sent {
                self.events.push_back(answer);
                continue;
            }
            assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
            return answer["result"].clone();
        }
    }

    async fn next(&mut self) -> Value {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(PATIENCE, self.output.read_until(0, &mut bytes));
        read.await.expect("the browser says nothing").unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&bytes).unwrap()
    }

    // Waits until a page has loaded that had not when this was called.
    async fn loaded(&mut self) {
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => self.next().await,
            };
            assert!(
                event["method"] != "Log.entryAdded"
                    || event["params"]["entry"]["level"] != "error"
                    || is_status(&event),
                "{event}"
            );
            if event["method"] == "Page.loadEventFired" {
                return;
            }
        }
    }

    pub(crate) async fn visit(&mut self, url: &str) {
        self.tell("Page.navigate", json!({ "url": url })).await;
        self.loaded().await;
    }

    /// The value of an expression.
    pub(crate) async fn value(&mut self, expression: &str) -> Value {
        let wish = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let said = self.tell("Runtime.evaluate", wish).await;
        assert!(
            said["exceptionDetails"].is_null(),
            "{expression}: {}",
            said["exceptionDetails"]
        );
        said["result"]["value"].clone()
    }

    /// Clicks on the middle of the first element of a selector that shows this text.
    pub(crate) async fn click(&mut self, selector: &str, text: &str) {
        let find = format!(
            "(() => {{ const all = [...document.querySelectorAll({selector:?})];
               const found = all.find((one) => one.textContent.includes({text:?}));
               if (!found) return null;
               found.scrollIntoView({{ block: 'center' }});
               const box = found.getBoundingClientRect();
               return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        );
        let at = self.value(&find).await;
        assert!(
            at.is_array(),
            "no {selector} with `{text}` in {}",
            self.value("document.body.innerText").await
        );
        for kind in ["mousePressed", "mouseReleased"] {
            let press =
                json!({ "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1 });
            self.tell("Input.dispatchMouseEvent", press).await;
        }
    }

    /// Clicks on something that leads to another page, and waits for that.
    pub(crate) async fn follow(&mut self, selector: &str, text: &str) {
        self.events.clear();
        self.click(selector, text).await;
        self.loaded().await;
    }

    /// Types into the field that a label names, over what stands there.
    pub(crate) async fn write(&mut self, label: &str, text: &str) {
        let focus = format!(
            "(() => {{ const all = [...document.querySelectorAll('label')];
               const field = all.find((one) => one.textContent.includes({label:?}))?.control;
               field?.focus(); field?.select(); return !!field; }})()"
        );
        assert_eq!(self.value(&focus).await, true, "no field `{label}`");
        self.tell("Input.insertText", json!({ "text": text })).await;
    }

    /// Presses Enter in the field that has the focus, and waits for the page it leads to.
    pub(crate) async fn enter(&mut self) {
        self.events.clear();
        let key = json!({ "type": "keyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" });
        self.tell("Input.dispatchKeyEvent", key).await;
        self.loaded().await;
    }

    /// Shows the page as somebody sees it who likes `light` or `dark`.
    pub(crate) async fn prefer(&mut self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.tell(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await;
    }

    /// The whole page as a PNG.
    pub(crate) async fn photograph(&mut self) -> Vec<u8> {
        let wish = json!({ "format": "png", "captureBeyondViewport": true });
        let shot = self.tell("Page.captureScreenshot", wish).await;
        let data = shot["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(data)
            .unwrap()
    }

    pub(crate) async fn close(mut self) {
        self.session = None;
        self.tell("Browser.close", json!({})).await;
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap();
    }
}

// An answer of 4xx is told as an error too; what the page shows then is for the test to judge.
fn is_status(event: &Value) -> bool {
    event["params"]["entry"]["source"] == "network"
}
