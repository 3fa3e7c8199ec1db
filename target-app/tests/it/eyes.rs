//! A purchase in a real browser, on a phone and at a desk; what it looked like is kept as pictures.
//!
//! The pictures are for people: `target/tmp/shop-WIDTH-STEP.png`. What a program can judge of a page is
//! judged on each: nothing sticks out sideways, every control has a name, every text can be read.

use std::path::Path;

use crate::chromium::{Page, program};
use crate::shop::Shop;

/// Texts whose contrast with what is behind them is below 4.5:1 (3:1 where large), by the formula of
/// WCAG 2.2, "relative luminance" and "contrast ratio".
const PALE: &str = r"(() => {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if ((parts(color)[3] ?? 1) === 1) return color;
    }
    return 'rgb(255, 255, 255)';
  };
  const pale = [];
  for (const one of document.querySelectorAll('body *')) {
    const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || one.closest('.unseen, svg') || !one.getClientRects().length) continue;
    const style = getComputedStyle(one);
    const [a, b] = [light(style.color), light(behind(one))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) pale.push(one.outerHTML.slice(0, 80));
  }
  return pale.join('\n');
})()";
/// Controls smaller than WCAG 2.2 wants them (2.5.8: 24 points each way), links within a text aside.
const SMALL: &str = r"[...document.querySelectorAll('button, input:not([type=hidden]), a.button, a.card, nav.own a, a.brand')]
  .filter((one) => { const box = one.getBoundingClientRect(); return box.width < 24 && one.type !== 'radio' || box.height < 24 && one.type !== 'radio'; })
  .map((one) => one.outerHTML.slice(0, 80)).join('\n')";

async fn look(page: &mut Page, width: u32, step: &str) {
    for (scheme, suffix) in [("dark", "-dark"), ("light", "")] {
        page.prefer(scheme).await;
        let pale = page.value(PALE).await;
        assert_eq!(pale, "", "too pale at {step}, {scheme}");
        let png = page.photograph().await;
        let file =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("shop-{width}-{step}{suffix}.png"));
        std::fs::write(&file, &png).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{}", file.display());
    }
    let wide = page
        .value("document.documentElement.scrollWidth - innerWidth")
        .await;
    assert!(
        wide.as_i64().unwrap() <= 0,
        "{step} sticks out by {wide} at {width}"
    );
    assert_eq!(page.value(SMALL).await, "", "too small at {step}");
    assert_eq!(
        nameless(page).await,
        Vec::<String>::new(),
        "without a name at {step}"
    );
}

// Controls that say nothing to somebody who does not see them.
async fn nameless(page: &mut Page) -> Vec<String> {
    let tree = page
        .tell("Accessibility.getFullAXTree", serde_json::json!({}))
        .await;
    let nodes = tree["nodes"].as_array().unwrap();
    let controls = [
        "button",
        "link",
        "textbox",
        "searchbox",
        "spinbutton",
        "radio",
        "navigation",
    ];
    let is_control = |role: &str| controls.contains(&role);
    let found: Vec<_> = nodes
        .iter()
        .filter(|node| {
            node["ignored"] != true && node["role"]["value"].as_str().is_some_and(is_control)
        })
        .collect();
    assert!(found.len() >= 4, "{} controls", found.len());
    let nameless = found
        .iter()
        .filter(|node| node["name"]["value"].as_str().is_none_or(str::is_empty));
    nameless.map(ToString::to_string).collect()
}

async fn buy(page: &mut Page, shop: &str, width: u32) {
    page.visit(&format!("http://{shop}/")).await;
    look(page, width, "1-list").await;
    page.write("Search products", "lamp").await;
    page.enter().await;
    look(page, width, "2-search").await;
    page.follow("a.card", "Oslo Desk Lamp").await;
    look(page, width, "3-product").await;
    page.follow("a.button", "Log in to buy").await;
    page.write("E-mail address", "shopper-0001@example.com")
        .await;
    page.write("Password", "not my password").await;
    page.follow("main button", "Log in").await;
    look(page, width, "4-log-in").await;
    page.write("Password", "correct-horse-battery").await;
    page.follow("main button", "Log in").await;
    page.write("Pieces", "2").await;
    page.follow("button", "Put into cart").await;
    page.follow("a", "The Store").await;
    page.follow("a[rel=next]", "Next").await;
    page.follow("a.card", "Lisbon Frying Pan").await;
    page.follow("button", "Put into cart").await;
    page.click("label", "A card that is declined").await;
    page.follow("button", "Order and pay").await;
    look(page, width, "5-cart").await;
    page.follow("button", "Order and pay").await;
    look(page, width, "6-order").await;
    let text = page.value("document.body.innerText").await;
    assert!(
        text.as_str().unwrap().contains("Thank you for your order"),
        "{text}"
    );
    page.visit(&format!("http://{shop}/shop/products/p-9999"))
        .await;
    look(page, width, "7-error").await;
}

async fn purchase_at(width: u32, height: u32) {
    let Some(program) = program() else { return };
    let shop = Shop::open().await;
    let mut page = Page::open(&program, width, height).await;
    buy(&mut page, shop.gateway.address(), width).await;
    page.close().await;
    shop.close().await;
}

#[tokio::test]
async fn a_purchase_from_search_to_order_status_on_a_phone() {
    purchase_at(390, 844).await;
}

#[tokio::test]
async fn a_purchase_from_search_to_order_status_at_a_desk() {
    purchase_at(1280, 900).await;
}

#[tokio::test]
async fn the_narrowest_screen_still_shows_everything() {
    let Some(program) = program() else { return };
    let shop = Shop::open().await;
    let mut page = Page::open(&program, 320, 568).await;
    for (path, step) in [
        ("", "1-list"),
        ("/products/p-0001", "2-product"),
        ("/register", "3-register"),
    ] {
        page.visit(&format!("http://{}/shop{path}", shop.gateway.address()))
            .await;
        look(&mut page, 320, step).await;
    }
    page.close().await;
    shop.close().await;
}
