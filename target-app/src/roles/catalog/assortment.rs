//! A large assortment, made up: names that could be, prices that are spread as prices are.
//!
//! Every product is a function of its number and the seed, so an assortment can be made in parts, in any
//! order, and by several processes, and is always the same.
//!
//! Invariant: no two of [`PRODUCTS_MAX`] numbers have the same name, and no price is below 1.50.

use serde_json::{Value, json};

use super::seed::id;

/// So many different products can be made: every kind in every material, style and line.
pub(super) const PRODUCTS_MAX: u32 = 552_960;
/// A step through all combinations that has no divisor in common with their number, and is about the
/// golden ratio of it, so that neighbours differ in everything.
const STEP: u64 = 341_749;

/// Kinds of product with their category and the price in hundredths that half of them are below.
const KINDS: [(&str, usize, i64); 40] = [
    ("Desk Lamp", 0, 4900),
    ("Floor Lamp", 0, 11_900),
    ("Pendant Light", 0, 8900),
    ("Wall Light", 0, 6400),
    ("Lantern", 0, 3400),
    ("Reading Lamp", 0, 5900),
    ("Ceiling Light", 0, 9900),
    ("Night Light", 0, 2400),
    ("Armchair", 1, 38_900),
    ("Dining Chair", 1, 14_900),
    ("Side Table", 1, 11_900),
    ("Dining Table", 1, 64_900),
    ("Desk", 1, 42_900),
    ("Bookshelf", 1, 21_900),
    ("Coat Rack", 1, 7900),
    ("Stool", 1, 6900),
    ("Tea Kettle", 2, 4900),
    ("Mug", 2, 1490),
    ("Knife", 2, 3900),
    ("Cutting Board", 2, 2900),
    ("Frying Pan", 2, 5900),
    ("Serving Bowl", 2, 2690),
    ("Tray", 2, 2490),
    ("Cooking Pot", 2, 6900),
    ("Blanket", 3, 7900),
    ("Cushion", 3, 3490),
    ("Bath Towel", 3, 2290),
    ("Rug", 3, 15_900),
    ("Pillow", 3, 4490),
    ("Hand Towel", 3, 1290),
    ("Bedside Rug", 3, 5900),
    ("Bedspread", 3, 9900),
    ("Wall Clock", 4, 4490),
    ("Picture Frame", 4, 1990),
    ("Vase", 4, 2790),
    ("Candle Holder", 4, 1690),
    ("Mirror", 4, 7900),
    ("Wall Hook", 4, 1290),
    ("Bowl", 4, 2290),
    ("Table Clock", 4, 3490),
];
/// Categories, and what their things are made of.
const MATERIALS: [(&str, [&str; 12]); 5] = [
    (
        "lighting",
        [
            "Brass",
            "Opal Glass",
            "Paper",
            "Steel",
            "Oak",
            "Ceramic",
            "Linen",
            "Smoked Glass",
            "Copper",
            "Walnut",
            "Concrete",
            "Rattan",
        ],
    ),
    (
        "furniture",
        [
            "Oak", "Ash", "Walnut", "Beech", "Pine", "Birch", "Steel", "Rattan", "Cherry", "Elm",
            "Bamboo", "Teak",
        ],
    ),
    (
        "kitchen",
        [
            "Steel",
            "Enamel",
            "Copper",
            "Stoneware",
            "Porcelain",
            "Oak",
            "Cast Iron",
            "Beech",
            "Olive Wood",
            "Glass",
            "Bamboo",
            "Acacia",
        ],
    ),
    (
        "textiles",
        [
            "Wool",
            "Linen",
            "Cotton",
            "Alpaca",
            "Hemp",
            "Merino",
            "Organic Cotton",
            "Jute",
            "Mohair",
            "Corduroy",
            "Velvet",
            "Flannel",
        ],
    ),
    (
        "decoration",
        [
            "Stoneware",
            "Glass",
            "Brass",
            "Oak",
            "Marble",
            "Porcelain",
            "Terracotta",
            "Walnut",
            "Steel",
            "Rattan",
            "Copper",
            "Soapstone",
        ],
    ),
];
const STYLES: [&str; 24] = [
    "Slim", "Round", "Low", "Tall", "Small", "Large", "Plain", "Soft", "Quiet", "Bold", "Light",
    "Dark", "Folding", "Classic", "Modern", "Rustic", "Curved", "Square", "Narrow", "Wide", "Matt",
    "Warm", "Pale", "Fine",
];
const LINES: [&str; 48] = [
    "Vejle", "Turku", "Malmo", "Odense", "Bruges", "Delft", "Leiden", "Utrecht", "Cork", "Derry",
    "Perth", "Oban", "Bath", "York", "Truro", "Nantes", "Lyon", "Arles", "Dijon", "Bilbao",
    "Girona", "Ronda", "Toledo", "Braga", "Sintra", "Evora", "Siena", "Parma", "Modena", "Lecce",
    "Graz", "Linz", "Ulm", "Jena", "Basel", "Thun", "Tartu", "Riga", "Vilnius", "Gdansk", "Torun",
    "Brno", "Zadar", "Split", "Nara", "Kobe", "Otaru", "Hakone",
];
/// What people are told about a category.
const CARE: [&str; 5] = [
    "The bulb is included and can be replaced.",
    "Comes with what is needed to put it together.",
    "Wash by hand to keep it for long.",
    "Wash cool and dry in the air.",
    "Wipe with a soft cloth.",
];
/// Quantiles of a log-normal distribution with a sigma of 0.45, in hundredths of its median: at 1 %, then
/// at each sixteenth, then at 99 %. Prices within a kind of goods are spread about so.
const QUANTILES: [u64; 17] = [
    35, 50, 60, 67, 74, 80, 87, 93, 100, 107, 115, 125, 135, 149, 168, 199, 285,
];

/// A row of `products`: number, id, name, category, description, price.
pub(super) fn product(number: u32, seed: u64) -> Value {
    let all = u64::from(PRODUCTS_MAX);
    let at = (u64::from(number) * STEP + mixed(seed) % all) % all;
    let (kind, rest) = drawn(&KINDS, at);
    let (category, materials) = MATERIALS[kind.1];
    let (material, rest) = drawn(&materials, rest);
    let (style, rest) = drawn(&STYLES, rest);
    let (line, _) = drawn(&LINES, rest);
    let name = format!("{line} {style} {material} {}", kind.0);
    let description = format!(
        "{style} {} made of {}, from our {line} line. {}",
        kind.0.to_lowercase(),
        material.to_lowercase(),
        CARE[kind.1]
    );
    let chance = mixed(seed ^ mixed(u64::from(number)));
    let price = price(kind.2, chance);
    json!([number, id(number), name, category, description, price])
}

// One of a list, and what is left to choose from others with.
fn drawn<T: Copy>(list: &[T], at: u64) -> (T, u64) {
    let length = list.len() as u64;
    let place = usize::try_from(at % length).unwrap_or_default();
    (list[place], at / length)
}

fn price(median: i64, chance: u64) -> i64 {
    // The upper bits choose between two quantiles, the next ones the place between them.
    let step = usize::try_from(chance >> 60).unwrap_or_default();
    let part = (chance >> 44) & 0xffff;
    let (low, high) = (QUANTILES[step], QUANTILES[step + 1]);
    let percent = low * 0x1_0000 + (high - low) * part;
    let exact = (median.unsigned_abs() * percent / 100) >> 16;
    ending(i64::try_from(exact).unwrap_or(median), chance & 3)
}

// As shops write them: 7.90, 24.90, 135.00, 489.00.
fn ending(exact: i64, choice: u64) -> i64 {
    let euros = exact / 100;
    match euros {
        ..2 => 150 + i64::from(choice == 0) * 40,
        2..20 => euros * 100 + [90, 50, 90, 95][usize::try_from(choice).unwrap_or_default()],
        20..100 => euros * 100 + 90,
        100..250 => (euros / 5 * 5) * 100,
        _ => (euros / 10 * 10 - 1) * 100,
    }
}

// SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
fn mixed(number: u64) -> u64 {
    let sum = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let one = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let two = (one ^ (one >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    two ^ (two >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn a_hundred_thousand_names_differ_and_every_kind_is_there() {
        let products: Vec<Value> = (1..=100_000).map(|number| product(number, 1)).collect();
        let names: BTreeSet<&str> = products
            .iter()
            .map(|row| row[2].as_str().unwrap())
            .collect();
        assert_eq!(names.len(), 100_000);
        let mut categories = BTreeMap::new();
        for row in &products {
            *categories.entry(row[3].as_str().unwrap()).or_insert(0) += 1;
        }
        assert!(
            categories
                .values()
                .all(|count| (19_000..21_000).contains(count)),
            "{categories:?}"
        );
        assert_eq!(products[9_999], product(10_000, 1));
        assert_ne!(products[9_999], product(10_000, 2));
    }

    #[test]
    fn the_step_meets_every_combination() {
        let mut rest = (u64::from(PRODUCTS_MAX), STEP);
        while rest.1 > 0 {
            rest = (rest.1, rest.0 % rest.1);
        }
        assert_eq!(rest.0, 1);
        let all = KINDS.len() * MATERIALS[0].1.len() * STYLES.len() * LINES.len();
        assert_eq!(u64::from(PRODUCTS_MAX), all as u64);
    }

    #[test]
    fn prices_are_spread_around_their_median_and_end_as_prices_do() {
        let mut mugs: Vec<i64> = (1..=100_000)
            .map(|number| product(number, 1))
            .filter(|row| row[2].as_str().unwrap().ends_with("Mug"))
            .map(|row| row[5].as_i64().unwrap())
            .collect();
        mugs.sort_unstable();
        let at = |percent: usize| mugs[mugs.len() * percent / 100];
        assert!((1400..1600).contains(&at(50)), "{}", at(50));
        assert!(
            (700..900).contains(&at(10)) && (2400..2700).contains(&at(90)),
            "{} {}",
            at(10),
            at(90)
        );
        assert!(
            mugs.iter()
                .all(|price| [0, 50, 90, 95].contains(&(price % 100)) && *price >= 150)
        );
        assert_eq!(
            [ending(55, 0), ending(789, 1), ending(2_412, 0)],
            [190, 750, 2_490]
        );
        assert_eq!([ending(13_799, 2), ending(48_911, 3)], [13_500, 47_900]);
    }
}
