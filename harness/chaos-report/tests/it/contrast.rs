//! The palette can be read: contrast by WCAG 2, computed from the style sheet, in both themes.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../../../../reports/templates/report.css");

/// Colours by name.
type Palette = BTreeMap<String, [f64; 3]>;

/// Text and what it stands on.
const TEXT: [(&str, &str); 26] = [
    ("ink", "card"),
    ("ink", "page"),
    ("ink", "wash"),
    ("ink", "stage"),
    ("ink", "cap"),
    ("ink", "unknown-wash"),
    ("soft", "card"),
    ("soft", "page"),
    ("soft", "wash"),
    ("soft", "stage"),
    ("good", "card"),
    ("bad", "card"),
    ("unknown", "card"),
    ("plain", "card"),
    ("good", "good-wash"),
    ("bad", "bad-wash"),
    ("unknown", "unknown-wash"),
    ("plain", "plain-wash"),
    ("bad", "wash"),
    ("p50", "card"),
    ("p95", "card"),
    ("p99", "card"),
    ("card", "fault"),
    ("card", "note"),
    ("good", "wash"),
    ("sign", "good"),
];

/// What is drawn and carries meaning, and what it stands on.
const GRAPHICS: [(&str, &str); 24] = [
    ("p50", "card"),
    ("p95", "card"),
    ("p99", "card"),
    ("limit", "card"),
    ("fault", "card"),
    ("answer", "card"),
    ("unsent", "card"),
    ("note", "card"),
    ("axis", "card"),
    ("boundary", "card"),
    ("p50", "cap"),
    ("p95", "cap"),
    ("p99", "cap"),
    ("good", "card"),
    ("bad", "card"),
    ("unknown", "card"),
    ("ink", "card"),
    ("sign", "good"),
    ("sign", "bad"),
    ("sign", "unknown"),
    ("sign", "plain"),
    ("good", "track"),
    ("bad", "track"),
    ("unknown", "track"),
];

#[test]
fn text_and_graphics_stand_out_in_both_themes() {
    let (light, dark) = palettes();
    for (theme, palette) in [("light", &light), ("dark", &dark)] {
        let mut poor = Vec::new();
        for (pairs, least) in [(&TEXT[..], 4.5), (&GRAPHICS[..], 3.0)] {
            for (front, back) in pairs {
                let found = contrast(palette[*front], palette[*back]);
                if found < least {
                    poor.push(format!("{front} on {back}: {found:.2} < {least}"));
                }
            }
        }
        assert!(poor.is_empty(), "{theme}: {poor:?}");
    }
}

#[test]
fn what_is_drawn_half_through_still_stands_out() {
    let (light, dark) = palettes();
    for (class, colour) in [(".fault-window rect", "fault"), ("rect.i-load", "unsent")] {
        let rule = STYLE
            .split(&format!("{class}{{opacity:"))
            .nth(1)
            .expect(class);
        let opacity: f64 = rule
            .split('}')
            .next()
            .and_then(|text| text.parse().ok())
            .expect("a number");
        for (theme, palette) in [("light", &light), ("dark", &dark)] {
            let (front, back) = (palette[colour], palette["card"]);
            let seen = [0, 1, 2].map(|i| front[i] * opacity + back[i] * (1.0 - opacity));
            let found = contrast(seen, back);
            assert!(found >= 3.0, "{theme}: {class} {found:.2}");
        }
    }
}

#[test]
fn the_measure_is_that_of_the_standard() {
    let (white, black) = ([255.0; 3], [0.0; 3]);
    assert!((contrast(white, black) - 21.0).abs() < 1e-9);
    assert!((contrast([119.0; 3], white) - 4.48).abs() < 0.01);
}

/// The light and the dark palette.
fn palettes() -> (Palette, Palette) {
    let light = palette(block(":root{"));
    let mut dark = light.clone();
    dark.extend(palette(block("(prefers-color-scheme:dark){:root{")));
    (light, dark)
}

fn block(start: &str) -> &'static str {
    let rest = STYLE.split(start).nth(1).expect(start);
    rest.split('}').next().unwrap_or(rest)
}

fn palette(block: &str) -> Palette {
    let colours = block.split(';').filter_map(|line| {
        let (name, value) = line.trim().strip_prefix("--")?.split_once(':')?;
        Some((name.to_owned(), colour(value.strip_prefix('#')?)))
    });
    colours.collect()
}

fn colour(hex: &str) -> [f64; 3] {
    let wide: String = match hex.len() {
        3 => hex.chars().flat_map(|c| [c, c]).collect(),
        _ => hex.to_owned(),
    };
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&wide[at..at + 2], 16).expect("hex digits")))
}

/// WCAG 2.2, section 1.4.3.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn luminance(colour: [f64; 3]) -> f64 {
    let [red, green, blue] = colour.map(|channel| {
        let share = channel / 255.0;
        if share <= 0.04045 {
            share / 12.92
        } else {
            ((share + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}
