//! Pages of a listing in the order (accepted, id). A cursor means "after this element" and holds also once that
//! element has gone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::error::ApiError;
use crate::v3;

/// The most items on one page; fewer where their encoding would pass [`MAX_PAGE_BYTES`].
pub(crate) const MAX_PAGE_ITEMS: usize = 10_000;

/// The largest page, in bytes: clients receive 4 MiB by default.
pub(crate) const MAX_PAGE_BYTES: usize = 3 << 20;

/// An element's place in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// When it was accepted, milliseconds since the epoch.
    pub(crate) at: i64,
    /// Its id.
    pub(crate) id: Uuid,
}

impl Position {
    /// The cursor that means "after this element".
    #[must_use]
    pub(crate) fn to_cursor(self) -> String {
        STANDARD.encode(format!("{}@{}", self.id, self.at))
    }

    /// The inverse of [`to_cursor`](Self::to_cursor).
    ///
    /// # Errors
    /// Anything that this server did not hand out.
    pub(crate) fn from_cursor(cursor: &str) -> Result<Self, ApiError> {
        let text = STANDARD
            .decode(cursor)
            .ok()
            .and_then(|b| String::from_utf8(b).ok());
        let parts = text.as_deref().and_then(|t| t.split_once('@'));
        let position = parts.and_then(|(id, at)| {
            Some(Self {
                at: at.parse().ok()?,
                id: Uuid::parse_str(id).ok()?,
            })
        });
        position.ok_or_else(|| {
            let shown: String = cursor.chars().take(80).collect();
            ApiError::invalid(format!(
                "page.cursor {shown:?} is not one of ours: send one from an earlier page"
            ))
        })
    }
}

/// One page asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageRequest {
    size: usize,
    start: Start,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Number(usize),
    After(Position),
}

impl PageRequest {
    /// Checks a page. A cursor wins over a page number.
    ///
    /// # Errors
    /// A size that is not positive, a negative page number, a cursor of someone else's.
    pub(crate) fn parse(page: Option<v3::Page>) -> Result<Self, ApiError> {
        let page = page.unwrap_or_default();
        let size = usize::try_from(page.page_size).unwrap_or(0);
        if size == 0 {
            let given = page.page_size;
            return Err(ApiError::invalid(format!(
                "page.pageSize is {given}: ask for 1 to {MAX_PAGE_ITEMS}"
            )));
        }
        #[allow(deprecated, reason = "the deprecated field is honoured")]
        let number = page.page_number;
        let number = usize::try_from(number).map_err(|_| {
            ApiError::invalid(format!(
                "page.pageNumber is {number}: leave it out and send a cursor"
            ))
        })?;
        let start = if page.cursor.is_empty() {
            Start::Number(number)
        } else {
            Start::After(Position::from_cursor(&page.cursor)?)
        };
        Ok(Self {
            size: size.min(MAX_PAGE_ITEMS),
            start,
        })
    }

    /// Where the page lies in `all`, which is sorted.
    #[must_use]
    pub(crate) fn window<'a>(&self, all: &'a [Position]) -> Window<'a> {
        let begin = match self.start {
            Start::Number(number) => number.saturating_mul(self.size).min(all.len()),
            Start::After(position) => all.partition_point(|p| *p <= position),
        };
        Window {
            all,
            begin,
            end: begin.saturating_add(self.size).min(all.len()),
            size: self.size,
        }
    }
}

/// The elements of one page within its listing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    all: &'a [Position],
    begin: usize,
    end: usize,
    size: usize,
}

impl<'a> Window<'a> {
    /// The elements that belong on the page.
    #[must_use]
    pub(crate) fn positions(&self) -> &'a [Position] {
        &self.all[self.begin..self.end]
    }

    /// The answer's pagination, where the first `taken` elements had room on the page.
    #[must_use]
    pub(crate) fn pagination(&self, taken: usize) -> v3::Pagination {
        let end = self.begin + taken;
        let last = end.checked_sub(1).filter(|_| !self.all.is_empty());
        let number = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        #[allow(deprecated, reason = "the deprecated fields are still answered")]
        v3::Pagination {
            current_page: Some(v3::Page {
                page_number: number(self.begin / self.size),
                page_size: number(self.size),
                cursor: String::new(),
            }),
            has_more: end < self.all.len(),
            total_pages: number(self.all.len().div_ceil(self.size)),
            total_items: number(self.all.len()),
            cursor: last.map_or_else(String::new, |i| self.all[i].to_cursor()),
            cursor_position: number(last.unwrap_or(0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn listing(n: i64) -> Vec<Position> {
        (0..n)
            .map(|i| Position {
                at: i / 3,
                id: Uuid::from_u128(i.unsigned_abs().into()),
            })
            .collect()
    }

    fn ask(size: i32, cursor: &str) -> PageRequest {
        let page = v3::Page {
            page_size: size,
            cursor: cursor.into(),
            ..Default::default()
        };
        PageRequest::parse(Some(page)).unwrap()
    }

    #[test]
    fn page_numbers_and_totals() {
        let all = listing(10);
        #[allow(deprecated, reason = "page numbers are still honoured")]
        let page = v3::Page {
            page_number: 2,
            page_size: 4,
            cursor: String::new(),
        };
        let window = PageRequest::parse(Some(page)).unwrap().window(&all);
        assert_eq!(window.positions(), &all[8..]);
        let p = window.pagination(2);
        #[allow(deprecated, reason = "page numbers are still honoured")]
        let shown = (
            p.has_more,
            p.total_items,
            p.total_pages,
            p.cursor_position,
            p.current_page.unwrap().page_number,
        );
        assert_eq!(shown, (false, 10, 3, 9, 2));
        assert_eq!(p.cursor, all[9].to_cursor());
    }

    #[test]
    fn an_empty_listing_and_a_page_past_the_end() {
        let p = ask(5, "").window(&[]).pagination(0);
        assert_eq!(
            (p.has_more, p.total_items, p.cursor.as_str(), p.cursor_position),
            (false, 0, "", 0)
        );
        let all = listing(3);
        let window = ask(5, &all[2].to_cursor()).window(&all);
        assert!(window.positions().is_empty());
        let p = window.pagination(0);
        assert_eq!((p.has_more, p.cursor), (false, all[2].to_cursor()));
    }

    #[test]
    fn bad_pages_are_refused_with_the_field_in_the_message() {
        for (page, field) in [
            (None, "pageSize"),
            (
                Some(v3::Page {
                    page_size: -1,
                    ..Default::default()
                }),
                "pageSize",
            ),
            (
                Some(v3::Page {
                    page_size: 1,
                    cursor: "!".into(),
                    ..Default::default()
                }),
                "cursor",
            ),
            (
                Some(v3::Page {
                    page_size: 1,
                    cursor: STANDARD.encode("x@1"),
                    ..Default::default()
                }),
                "cursor",
            ),
            (
                Some(v3::Page {
                    page_size: 1,
                    cursor: STANDARD.encode([0xFF]),
                    ..Default::default()
                }),
                "cursor",
            ),
        ] {
            assert!(PageRequest::parse(page).unwrap_err().message.contains(field));
        }
        #[allow(deprecated, reason = "page numbers are still honoured")]
        let negative = v3::Page {
            page_number: -1,
            page_size: 1,
            ..Default::default()
        };
        assert!(
            PageRequest::parse(Some(negative))
                .unwrap_err()
                .message
                .contains("pageNumber")
        );
    }

    proptest! {
        /// Whatever goes and comes between two pages, nothing that stays is missed or shown twice.
        #[test]
        fn paging_under_change_misses_and_repeats_nothing(
            start in proptest::collection::btree_set((0..20_i64, 0..200_u128), 0..60),
            steps in proptest::collection::vec((proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
                                                proptest::collection::vec((0..30_i64, 200..400_u128), 0..3)), 0..30),
            size in 1..7_usize,
        ) {
            let mut all: Vec<Position> = start.iter().map(|(at, id)| Position { at: *at, id: Uuid::from_u128(*id) }).collect();
            let mut steadfast: std::collections::BTreeSet<Position> = all.iter().copied().collect();
            let mut seen = Vec::new();
            let mut cursor = String::new();
            let mut steps = steps.into_iter();
            loop {
                let window = ask(i32::try_from(size).unwrap(), &cursor).window(&all);
                seen.extend_from_slice(window.positions());
                let page = window.pagination(window.positions().len());
                if !page.has_more { break; }
                cursor = page.cursor;
                let Some((gone, new)) = steps.next() else { continue };
                for index in gone {
                    if all.is_empty() { break; }
                    let removed = all.remove(index.index(all.len()));
                    steadfast.remove(&removed);
                }
                all.extend(new.into_iter().map(|(at, id)| Position { at, id: Uuid::from_u128(id) }));
                all.sort_unstable();
                all.dedup();
            }
            let unique: std::collections::BTreeSet<Position> = seen.iter().copied().collect();
            prop_assert_eq!(unique.len(), seen.len(), "repeated");
            prop_assert!(steadfast.is_subset(&unique), "missed");
        }
    }
}
