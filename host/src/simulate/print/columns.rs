//! Text in columns, as Go's text/tabwriter aligns it: a column is a run of adjacent lines that have a cell ended
//! by a tab there, and widths count code points. kubectl's layout depends on both, so no other aligner will do.

use std::fmt::{self, Write};

/// Text that is written line by line and aligned at its tabs when it is finished.
#[derive(Debug)]
pub(super) struct Columns {
    minimum_width: usize,
    padding: usize,
    text: String,
    aligned: String,
}

impl Columns {
    /// Columns as `kubectl describe` sets them.
    pub(super) fn of_describe() -> Self {
        Self { minimum_width: 0, padding: 2, text: String::new(), aligned: String::new() }
    }

    /// Columns as `kubectl get` sets them.
    pub(super) fn of_get() -> Self {
        Self { minimum_width: 6, padding: 3, text: String::new(), aligned: String::new() }
    }

    /// Adds `line`, two spaces further in for each `level`, and ends it.
    pub(super) fn line(&mut self, level: usize, line: fmt::Arguments<'_>) {
        self.start(level, line);
        self.text.push('\n');
    }

    /// Adds `part` of a line, two spaces further in for each `level`.
    pub(super) fn start(&mut self, level: usize, part: fmt::Arguments<'_>) {
        for _ in 0..level {
            self.text.push_str("  ");
        }
        // Writing to a String cannot fail.
        let _ = Escaped(&mut self.text).write_fmt(part);
    }

    /// Ends every column, so that what follows is aligned on its own.
    pub(super) fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        let unended = !text.is_empty() && !text.ends_with('\n');
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
        let mut widths = Vec::new();
        self.format(&lines, &mut widths);
        if unended {
            self.aligned.pop();
        }
    }

    /// All that was written, aligned.
    pub(super) fn finish(mut self) -> String {
        self.flush();
        self.aligned
    }

    /// Writes `lines`, whose columns before `widths.len()` are known to be that wide.
    fn format(&mut self, lines: &[Vec<&str>], widths: &mut Vec<usize>) {
        let column = widths.len();
        let has_cell = |line: &Vec<&str>| column + 1 < line.len();
        let mut rest = lines;
        while !rest.is_empty() {
            let plain = rest.iter().take_while(|line| !has_cell(line)).count();
            let (before, from_block) = rest.split_at(plain);
            before.iter().for_each(|line| self.write_line(line, widths));
            let (block, after) =
                from_block.split_at(from_block.iter().take_while(|line| has_cell(line)).count());
            if !block.is_empty() {
                let widest = block.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
                widths.push((widest + self.padding).max(self.minimum_width));
                self.format(block, widths);
                widths.pop();
            }
            rest = after;
        }
    }

    fn write_line(&mut self, cells: &[&str], widths: &[usize]) {
        for (column, cell) in cells.iter().enumerate() {
            self.aligned.push_str(cell);
            let width = widths.get(column).copied().unwrap_or(0);
            for _ in cell.chars().count()..width {
                self.aligned.push(' ');
            }
        }
        self.aligned.push('\n');
    }
}

/// Keeps what objects say from steering a terminal, as kubectl does.
struct Escaped<'a>(&'a mut String);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '\u{1b}' => self.0.push_str("^["),
                '\r' => self.0.push_str("\\r"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aligned(mut columns: Columns, text: &str) -> String {
        columns.start(0, format_args!("{text}"));
        columns.finish()
    }

    #[test]
    fn a_column_reaches_as_far_as_adjacent_lines_have_a_cell_in_it() {
        let text = "a:\tb\nlonger:\tc\nPlain\n  x:\ty\n";
        assert_eq!(aligned(Columns::of_describe(), text), "a:       b\nlonger:  c\nPlain\n  x:  y\n");
    }

    #[test]
    fn a_line_that_lacks_a_later_cell_ends_only_that_column() {
        let text = "a\tbbb\tc\nd\te\nf\tg\th\n";
        assert_eq!(aligned(Columns::of_describe(), text), "a  bbb  c\nd  e\nf  g  h\n");
    }

    #[test]
    fn empty_cells_keep_their_width() {
        assert_eq!(
            aligned(Columns::of_describe(), "Labels:\ta\n\tb\nMedium:\t\n"),
            "Labels:  a\n         b\nMedium:  \n"
        );
    }

    #[test]
    fn lists_have_wide_columns_of_at_least_six() {
        assert_eq!(
            aligned(Columns::of_get(), "N\tSTATUS\tA\nx\ty\tz\n"),
            "N     STATUS   A\nx     y        z\n"
        );
    }

    #[test]
    fn widths_count_code_points() {
        assert_eq!(aligned(Columns::of_describe(), "äöü:\tx\nabc:\ty\n"), "äöü:  x\nabc:  y\n");
    }

    #[test]
    fn escape_sequences_of_objects_do_not_reach_the_terminal() {
        assert_eq!(aligned(Columns::of_describe(), "\u{1b}[31mred\r\n"), "^[[31mred\\r\n");
    }
}
