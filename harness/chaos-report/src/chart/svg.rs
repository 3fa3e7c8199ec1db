//! A plotters backend that writes SVG with classes, groups, titles and descriptions.
//!
//! plotters counts in whole pixels, so one of its pixels is a tenth of a unit here. Lines become
//! paths with relative coordinates, which are half as long. Invariant: everything foreign that is
//! written is escaped, and what is finished is well-formed XML.

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::rc::Rc;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};

use super::ink::Ink;

/// plotters pixels in a unit of the drawing.
pub(super) const TENTHS: i32 = 10;
/// Mean width of a character in a sans-serif face, as a share of the font size.
const GLYPH_WIDTH: f64 = 0.56;

type Done = Result<(), DrawingErrorKind<Infallible>>;

/// A drawing under way; clones draw on the same sheet.
#[derive(Debug, Clone)]
pub(super) struct Svg(Rc<RefCell<Sheet>>);

#[derive(Debug)]
struct Sheet {
    id: String,
    /// Units.
    size: (u32, u32),
    body: String,
    open_groups: usize,
}

impl Svg {
    /// An empty sheet of `width` times `height` units; `id` is unique in the document.
    pub(super) fn new(id: String, width: u32, height: u32) -> Self {
        Self(Rc::new(RefCell::new(Sheet {
            id,
            size: (width, height),
            body: String::new(),
            open_groups: 0,
        })))
    }

    /// What is drawn until [`Self::end_group`] belongs together; a title shows when pointed at.
    pub(super) fn begin_group(&self, class: &str, title: Option<&str>) {
        let title = title
            .map(|title| format!("<title>{}</title>", escape(title)))
            .unwrap_or_default();
        let mut sheet = self.0.borrow_mut();
        sheet.open_groups += 1;
        sheet.put(format_args!("<g class=\"{class}\">{title}"));
    }

    pub(super) fn end_group(&self) {
        let mut sheet = self.0.borrow_mut();
        if sheet.open_groups > 0 {
            sheet.open_groups -= 1;
            sheet.body.push_str("</g>");
        }
    }

    /// The whole drawing as an `svg` element that a screen reader reads as one picture.
    pub(super) fn finish(&self, class: &str, title: &str, description: &str) -> String {
        let sheet = self.0.borrow();
        let (id, (width, height)) = (&sheet.id, sheet.size);
        let hatches: String = [Ink::Gap, Ink::Fault, Ink::FaultTail]
            .into_iter()
            .filter(|ink| sheet.body.contains(&format!("#{id}-{})", ink.class())))
            .filter_map(|ink| hatch(id, ink))
            .collect();
        format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" \
             font-family=\"system-ui, sans-serif\" fill=\"none\"><title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>\
             <defs>{hatches}</defs>{body}{close}</svg>",
            title = escape(title),
            description = escape(description),
            body = sheet.body,
            close = "</g>".repeat(sheet.open_groups),
        )
    }
}

/// The pattern of an ink that hatches.
fn hatch(id: &str, ink: Ink) -> Option<String> {
    let spacing = ink.hatch()?;
    let (class, light) = (ink.class(), ink.light());
    Some(format!(
        "<pattern id=\"{id}-{class}\" class=\"{class}\" color=\"{light}\" width=\"{spacing}\" height=\"{spacing}\" patternUnits=\"userSpaceOnUse\" \
         patternTransform=\"rotate(45)\"><path d=\"M0 0V{spacing}\" stroke=\"currentColor\" stroke-width=\"1\"/></pattern>"
    ))
}

/// Text and attribute values for XML and HTML alike.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Tenths as a decimal number without needless digits.
fn units(tenths: i32) -> String {
    let (sign, all) = (if tenths < 0 { "-" } else { "" }, tenths.unsigned_abs());
    match all % 10 {
        0 => format!("{sign}{}", all / 10),
        rest => format!("{sign}{}.{rest}", all / 10),
    }
}

/// A path through `points`: absolute first, relative then.
fn path(points: impl IntoIterator<Item = BackendCoord>) -> String {
    let mut points = points.into_iter();
    let Some(mut at) = points.next() else {
        return String::new();
    };
    let mut path = format!("M{} {}", units(at.0), units(at.1));
    for (i, point) in points.enumerate() {
        path.push(if i == 0 { 'l' } else { ' ' });
        path.push_str(&units(point.0 - at.0));
        path.push(' ');
        path.push_str(&units(point.1 - at.1));
        at = point;
    }
    path
}

/// Attributes of the ink with this colour, with the light colour for readers without the style sheet.
fn ink_attributes(color: BackendColor) -> String {
    let (red, green, blue) = color.rgb;
    Ink::of(color).map_or_else(
        || format!("color=\"#{red:02x}{green:02x}{blue:02x}\""),
        |ink| format!("class=\"{}\" color=\"{}\"", ink.class(), ink.light()),
    )
}

fn stroke_attributes(color: BackendColor) -> String {
    let (width, dashes) = Ink::of(color).map_or(("1", None), Ink::stroke);
    let dashes = dashes
        .map(|dashes| format!(" stroke-dasharray=\"{dashes}\""))
        .unwrap_or_default();
    format!(
        "{} stroke=\"currentColor\" stroke-width=\"{width}\"{dashes}",
        ink_attributes(color)
    )
}

impl Sheet {
    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        self.body.write_fmt(text).expect("a string takes any text");
    }

    fn fill_attributes(&self, color: BackendColor) -> String {
        match Ink::of(color).filter(|ink| ink.hatch().is_some()) {
            Some(ink) => format!("fill=\"url(#{}-{})\"", self.id, ink.class()),
            None => format!("{} fill=\"currentColor\"", ink_attributes(color)),
        }
    }
}

impl DrawingBackend for Svg {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let (width, height) = self.0.borrow().size;
        (
            width * TENTHS.unsigned_abs(),
            height * TENTHS.unsigned_abs(),
        )
    }

    fn ensure_prepared(&mut self) -> Done {
        Ok(())
    }

    fn present(&mut self) -> Done {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Done {
        let mut sheet = self.0.borrow_mut();
        let fill = sheet.fill_attributes(color);
        sheet.put(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\".1\" height=\".1\" {fill}/>",
            units(x),
            units(y)
        ));
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Done {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Done {
        if style.color().alpha == 0.0 {
            return Ok(());
        }
        let mut sheet = self.0.borrow_mut();
        let look = if fill {
            sheet.fill_attributes(style.color())
        } else {
            stroke_attributes(style.color())
        };
        let (width, height) = (bottom_right.0 - upper_left.0, bottom_right.1 - upper_left.1);
        sheet.put(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {look}/>",
            units(upper_left.0),
            units(upper_left.1),
            units(width.max(0)),
            units(height.max(0)),
        ));
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        points: I,
        style: &S,
    ) -> Done {
        if style.color().alpha == 0.0 {
            return Ok(());
        }
        let look = stroke_attributes(style.color());
        self.0.borrow_mut().put(format_args!(
            "<path d=\"{}\" {look} stroke-linejoin=\"round\"/>",
            path(points)
        ));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        (x, y): BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Done {
        let mut sheet = self.0.borrow_mut();
        let look = if fill {
            sheet.fill_attributes(style.color())
        } else {
            stroke_attributes(style.color())
        };
        let radius = units(i32::try_from(radius).unwrap_or(i32::MAX));
        sheet.put(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\" {look}/>",
            units(x),
            units(y)
        ));
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        points: I,
        style: &S,
    ) -> Done {
        let mut sheet = self.0.borrow_mut();
        let look = sheet.fill_attributes(style.color());
        sheet.put(format_args!("<path d=\"{}z\" {look}/>", path(points)));
        Ok(())
    }

    fn draw_text<T: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &T,
        (x, y): BackendCoord,
    ) -> Done {
        let anchor = match style.anchor().h_pos {
            HPos::Left => "",
            HPos::Center => " text-anchor=\"middle\"",
            HPos::Right => " text-anchor=\"end\"",
        };
        // In em, so that a style sheet may change the size and the text stays in place.
        let drop = match style.anchor().v_pos {
            VPos::Top => ".9em",
            VPos::Center => ".35em",
            VPos::Bottom => "-.2em",
        };
        let look = ink_attributes(style.color());
        let size = style.size() / f64::from(TENTHS);
        self.0.borrow_mut().put(format_args!(
            "<text x=\"{}\" y=\"{}\" dy=\"{drop}\"{anchor} font-size=\"{size}\" {look} fill=\"currentColor\">{}</text>",
            units(x),
            units(y),
            escape(text),
        ));
        Ok(())
    }

    fn estimate_text_size<T: BackendTextStyle>(
        &self,
        text: &str,
        style: &T,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        Ok((
            text_width(text, style.size()),
            text_width("MM", style.size()),
        ))
    }
}

/// About how wide a text is at a font size, in the unit of the size.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a label is short and a size small"
)]
pub(super) fn text_width(text: &str, size: f64) -> u32 {
    (text.chars().count() as f64 * size * GLYPH_WIDTH).ceil() as u32
}

#[cfg(test)]
mod tests {
    use plotters::style::Color as _;

    use super::*;

    #[test]
    fn coordinates_are_relative_and_short() {
        assert_eq!(
            path([(100, 205), (110, 200), (110, 150)]),
            "M10 20.5l1 -0.5 0 -5"
        );
        assert_eq!(path([]), "");
    }

    #[test]
    fn foreign_text_is_escaped_and_groups_are_closed() {
        let mut svg = Svg::new("x".to_owned(), 10, 10);
        svg.begin_group("faults", Some("</title><script>"));
        svg.draw_line((0, 0), (10, 10), &Ink::P95.to_backend_color())
            .expect("a sheet takes any line");
        let text = svg.finish("wide", "a & b", "\"quoted\"");
        assert!(!text.contains("<script"), "{text}");
        assert!(
            text.contains("a &amp; b") && text.contains("&quot;quoted&quot;"),
            "{text}"
        );
        assert_eq!(text.matches("<g ").count(), text.matches("</g>").count());
        assert!(text.contains("class=\"i-p95\""), "{text}");
    }
}
