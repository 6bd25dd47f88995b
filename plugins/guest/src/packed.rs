//! Packed strings of an argument.

use crate::bindings::cofferdam::storage::types::TextColumn;
use crate::error::Result;
use crate::validate::invalid;

/// A text column whose offsets have been checked.
#[derive(Clone, Copy)]
pub(crate) struct Texts<'a> {
    offsets: &'a [u32],
    text: &'a str,
}

impl<'a> Texts<'a> {
    /// # Errors
    ///
    /// `invalid-input` where the column does not hold `count` strings.
    pub fn new(field: &str, column: &'a TextColumn, count: usize) -> Result<Self> {
        let TextColumn { offsets, text } = column;
        let rising = offsets.is_sorted() && offsets.iter().all(|offset| text.is_char_boundary(*offset as usize));
        if offsets.len() != count + 1 || !rising {
            return invalid(format!("{field} is packed wrongly: {count} rows need {} rising offsets", count + 1));
        }
        Ok(Self { offsets, text })
    }

    pub fn get(&self, row: usize) -> &'a str {
        &self.text[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }
}

/// # Errors
///
/// `invalid-input` where a column does not have `count` cells.
pub(crate) fn same_length(field: &str, cells: &[i64], count: usize) -> Result<()> {
    if cells.len() == count {
        return Ok(());
    }
    invalid(format!("{field} has {} values for {count} rows: give one for each row", cells.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(offsets: &[u32], text: &str) -> TextColumn {
        TextColumn { offsets: offsets.to_vec(), text: text.to_owned() }
    }

    #[test]
    fn strings_lie_between_their_offsets() {
        let column = column(&[0, 1, 1, 6], "aébcd");
        let texts = Texts::new("ids", &column, 3).unwrap();
        assert_eq!([texts.get(0), texts.get(1), texts.get(2)], ["a", "", "ébcd"]);
    }

    #[test]
    fn offsets_that_fall_or_split_or_leave_the_text_are_refused() {
        for (offsets, text) in
            [(&[0, 2, 1][..], "abc"), (&[0, 1, 3], "éa"), (&[0, 1, 4], "abc"), (&[0, 1], "abc"), (&[], "")]
        {
            assert!(Texts::new("ids", &column(offsets, text), 2).is_err(), "{offsets:?} {text}");
        }
    }

    #[test]
    fn columns_have_equal_length() {
        assert!(same_length("created-ats", &[1, 2], 2).is_ok());
        assert!(same_length("created-ats", &[1], 2).is_err());
    }
}
