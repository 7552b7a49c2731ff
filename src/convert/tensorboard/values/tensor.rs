//! Tensors of numbers without a meaning of their own.

use super::super::rows::put_value;
use super::histogram::Histogram;
use super::text::{MOST_DIMENSIONS, nested};
use super::{Rendered, Stop, Target};
use crate::event::{NotScalar, TensorView};

/// A list, nested by the shape, of a few elements; a histogram of more, as the official client has it.
pub(super) fn render(tensor: &TensorView<'_>, to: &mut Target<'_>) -> Rendered {
    let elements = match tensor.elements() {
        Ok(elements) => elements,
        Err(NotScalar::Type(8 | 18)) => return complex(tensor, to),
        Err(_) => return Err(Stop::malformed("tensor")),
    };
    if elements.is_empty() {
        return Err(Stop::Skip(super::Reason::Empty, "tensor"));
    }
    if elements.len() > MOST_LISTED {
        to.notes.binned += 1;
        return Histogram::of_elements(&elements)?.render(to);
    }
    // Many dimensions of size 1 would nest as deep.
    let shape = tensor.shape().filter(|shape| shape.len() <= MOST_DIMENSIONS);
    let shape = shape.unwrap_or_else(|| vec![elements.len()]);
    to.items.put("", |text| {
        nested(text, &shape, &mut elements.iter(), &|text, element| put_value(text, element));
    });
    Ok(())
}

/// A pair for each number. There is no histogram of them.
fn complex(tensor: &TensorView<'_>, to: &mut Target<'_>) -> Rendered {
    let Ok(parts) = tensor.complex_parts() else { return Err(Stop::malformed("tensor")) };
    if parts.is_empty() {
        return Err(Stop::Skip(super::Reason::Empty, "tensor"));
    }
    if parts.len() > 2 * MOST_LISTED {
        return Err(Stop::Skip(super::Reason::Unsupported, "large complex tensor"));
    }
    let shape = tensor.shape().filter(|shape| shape.len() < MOST_DIMENSIONS);
    let mut shape = shape.unwrap_or_else(|| vec![parts.len() / 2]);
    shape.push(2);
    to.items.put("", |text| {
        nested(text, &shape, &mut parts.iter(), &|text, part| put_value(text, part));
    });
    Ok(())
}

const MOST_LISTED: u64 = 32;
