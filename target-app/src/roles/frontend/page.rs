//! Pages, and the templates they are made of.
//!
//! Invariant: every value is escaped by the template engine, and a template that wants what it is not
//! given is an error rather than a gap.

use std::sync::LazyLock;

use ::http::StatusCode;
use axum::response::{IntoResponse, Response};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};
use sha2::{Digest as _, Sha256};

/// The style sheet of all pages.
pub(super) const STYLE: &str = include_str!("../../../templates/style.css");

/// The picture beside the page's title in a browser.
pub(super) const ICON: &str = include_str!("../../../templates/icon.svg");

const TEMPLATES: [(&str, &str); 9] = [
    ("base.html", include_str!("../../../templates/base.html")),
    (
        "shapes.html",
        include_str!("../../../templates/shapes.html"),
    ),
    ("list.html", include_str!("../../../templates/list.html")),
    (
        "product.html",
        include_str!("../../../templates/product.html"),
    ),
    ("cart.html", include_str!("../../../templates/cart.html")),
    (
        "account.html",
        include_str!("../../../templates/account.html"),
    ),
    ("order.html", include_str!("../../../templates/order.html")),
    ("again.html", include_str!("../../../templates/again.html")),
    ("error.html", include_str!("../../../templates/error.html")),
];

static ENVIRONMENT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment().expect("the templates are part of the program and tested"));

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_filter("money", money);
    environment.add_filter("shape", shape);
    environment.add_filter("tone", tone);
    environment.add_filter("day", day);
    environment.add_global("style_version", style_version());
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

/// What a handler answers; the frame around it is put on later.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) template: &'static str,
    pub(super) title: String,
    pub(super) content: Value,
    /// Pieces in the visitor's cart, where the handler knows.
    pub(super) pieces: Option<i64>,
}

impl Page {
    pub(super) fn new(template: &'static str, title: impl Into<String>, content: Value) -> Self {
        Self {
            template,
            title: title.into(),
            content,
            pieces: None,
        }
    }

    /// The HTML, with what the frame adds.
    pub(super) fn render(&self, frame: Value) -> Result<String, minijinja::Error> {
        let own = minijinja::context! { title => self.title.as_str() };
        let all = minijinja::context! { ..own, ..frame, ..self.content.clone() };
        ENVIRONMENT.get_template(self.template)?.render(all)
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = StatusCode::OK.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The version in the address of the style sheet: the start of its SHA-256.
fn style_version() -> String {
    let start = Sha256::digest(STYLE.as_bytes()).into_iter().take(6);
    format!(
        "{:012x}",
        start.fold(0_u64, |version, byte| version << 8 | u64::from(byte))
    )
}

// Hundredths as people write prices; the shop has one currency.
fn money(hundredths: i64) -> String {
    let (whole, part) = (hundredths / 100, hundredths % 100);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("\u{20ac}{grouped}.{part:02}")
}

/// The drawing for a product: by the last word of its name that there is a drawing for.
fn shape(name: &str) -> &'static str {
    let known = |word: &str| {
        let word = word.to_ascii_lowercase();
        SHAPES
            .iter()
            .find(|(ends, _)| ends.iter().any(|end| word.ends_with(end)))
    };
    name.split_whitespace()
        .rev()
        .find_map(known)
        .map_or("box", |(_, shape)| shape)
}

const SHAPES: [(&[&str], &str); 17] = [
    (&["lamp"], "lamp"),
    (&["light", "lantern"], "pendant"),
    (&["chair", "stool"], "chair"),
    (&["table", "desk"], "table"),
    (&["shelf", "cabinet"], "shelf"),
    (&["rack", "hook"], "rack"),
    (&["kettle", "teapot"], "kettle"),
    (&["mug", "cup", "bowl"], "mug"),
    (&["knife"], "knife"),
    (&["board", "tray"], "board"),
    (&["pan", "pot"], "pan"),
    (&["blanket", "rug", "towel"], "blanket"),
    (&["cushion", "pillow"], "cushion"),
    (&["clock"], "clock"),
    (&["frame", "mirror"], "frame"),
    (&["vase"], "vase"),
    (&["holder", "candle"], "candle"),
];

// One of six colours, always the same for a name.
fn tone(name: &str) -> u32 {
    name.bytes()
        .fold(7, |sum, byte| (sum * 31 + u32::from(byte)) % 6_007)
        % 6
}

fn day(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or_default();
    at.strftime("%-d %B %Y, %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_written_as_people_write_them() {
        for (hundredths, wanted) in [
            (5, "\u{20ac}0.05"),
            (2490, "\u{20ac}24.90"),
            (123_456, "\u{20ac}1,234.56"),
            (100_000_000, "\u{20ac}1,000,000.00"),
        ] {
            assert_eq!(money(hundredths), wanted);
        }
    }

    #[test]
    fn a_product_is_drawn_as_what_it_is() {
        for (name, wanted) in [
            ("Oslo Desk Lamp", "lamp"),
            ("Kyoto Armchair", "chair"),
            ("Porto Bread Knife 2", "knife"),
            ("Lisbon Bookshelf", "shelf"),
            ("<script>", "box"),
            ("", "box"),
        ] {
            assert_eq!(shape(name), wanted, "{name}");
        }
    }

    #[test]
    fn every_drawing_that_is_named_is_there() {
        let shapes = TEMPLATES
            .iter()
            .find(|(name, _)| *name == "shapes.html")
            .unwrap()
            .1;
        for shape in SHAPES.iter().map(|(_, shape)| *shape).chain(["box"]) {
            assert!(shapes.contains(&format!("id=\"shape-{shape}\"")), "{shape}");
        }
    }

    #[test]
    fn a_day_is_written_out() {
        assert_eq!(day(1_795_269_840_000), "21 November 2026, 14:04 UTC");
    }
}
