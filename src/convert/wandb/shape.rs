//! Clouds of points and meshes, from the files W&B has of them.

use super::elements::scan;
use super::report::Reason;
use crate::json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader};

/// What TensorBoard shows as a mesh; without faces it is a cloud of points.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Shape {
    pub(super) vertices: Vec<[f32; 3]>,
    pub(super) faces: Vec<[u32; 3]>,
    /// One for each vertex, or none at all.
    pub(super) colors: Vec<[u8; 3]>,
    /// Coordinates that single precision has not digits enough for.
    pub(super) rounded: u64,
}

impl Shape {
    /// Reads a `.pts.json` of points, or an `.obj` of vertices and triangles, of each of which there may
    /// be colours. Files that have more than that, such as classes of points, materials or texture, would
    /// not be the same in TensorBoard and are refused, and so are those of more than `most` bytes.
    pub(super) fn read(path: &str, (file, length): (File, u64), most: u64) -> Result<Self, Reason> {
        let input = BufReader::with_capacity(READ_AT_ONCE, file);
        if length > most {
            Err(Reason::UnusableFile)
        } else if path.ends_with(".pts.json") {
            Self::cloud(input)
        } else if path.ends_with(".obj") {
            Self::obj(input)
        } else {
            Err(Reason::Unsupported)
        }
    }

    fn cloud(input: impl BufRead) -> Result<Self, Reason> {
        let mut shape = Self::default();
        let scanned = scan(input, |point| {
            let numbers = point.as_array().unwrap_or_default().iter().map(Value::as_f64);
            let numbers: Option<Vec<f64>> = numbers.collect();
            numbers.is_some_and(|numbers| shape.vertex(&numbers, 1.0).is_some())
        });
        let scanned = scanned.map_err(|_| Reason::UnusableFile)?;
        shape.whole(scanned.left_out == 0)
    }

    fn obj(input: impl BufRead) -> Result<Self, Reason> {
        let mut shape = Self::default();
        let mut fits = true;
        for line in input.lines() {
            let line = line.map_err(|_| Reason::UnusableFile)?;
            let mut words = line.split_ascii_whitespace();
            fits &= match words.next() {
                Some("v") => {
                    let numbers: Result<Vec<f64>, _> = words.map(str::parse).collect();
                    numbers.is_ok_and(|numbers| shape.vertex(&numbers, 255.0).is_some())
                }
                Some("f") => {
                    let corners: Result<Vec<u32>, _> = words.map(str::parse).collect();
                    corners.is_ok_and(|corners| shape.face(&corners).is_some())
                }
                Some(word) => word.starts_with('#'),
                None => true,
            };
        }
        let corners = u32::try_from(shape.vertices.len()).unwrap_or(u32::MAX);
        let fits = fits && shape.faces.iter().flatten().all(|corner| *corner < corners);
        shape.whole(fits)
    }

    /// Adds a vertex: its coordinates and, if it has one, its colour, whose shades are given from 0 to
    /// `255 / shade`.
    fn vertex(&mut self, numbers: &[f64], shade: f64) -> Option<()> {
        let (coordinates, color) = numbers.split_first_chunk::<3>()?;
        coordinates.iter().all(|number| number.is_finite()).then_some(())?;
        let single = coordinates.map(|number| number as f32);
        let differ = |(single, exact): &(f32, f64)| single.to_string() != exact.to_string();
        let rounded = single.into_iter().zip(*coordinates).filter(differ).count();
        self.rounded += rounded as u64;
        if !color.is_empty() {
            // Every vertex has one, and they are 8-bit shades.
            (self.colors.len() == self.vertices.len()).then_some(())?;
            let color: &[f64; 3] = color.try_into().ok()?;
            let shades = color.map(|number| (number * shade).round());
            let exact = |(shade_8, number): (f64, f64)| (shade_8 - number * shade).abs() < 1e-6;
            let fit = shades.iter().all(|shade_8| (0.0..=255.0).contains(shade_8));
            (fit && shades.into_iter().zip(*color).all(exact)).then_some(())?;
            self.colors.push(shades.map(|shade_8| shade_8 as u8));
        }
        self.vertices.push(single);
        Some(())
    }

    /// Adds a triangle, whose corners count vertices from 1.
    fn face(&mut self, corners: &[u32]) -> Option<()> {
        let corners: [u32; 3] = corners.try_into().ok()?;
        let [a, b, c] = corners.map(|corner| corner.checked_sub(1));
        self.faces.push([a?, b?, c?]);
        Some(())
    }

    fn whole(self, fits: bool) -> Result<Self, Reason> {
        let colors = self.colors.is_empty() || self.colors.len() == self.vertices.len();
        if fits && colors && !self.vertices.is_empty() {
            Ok(self)
        } else {
            Err(Reason::Unsupported)
        }
    }
}

const READ_AT_ONCE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_have_points_of_one_kind() {
        let of = |text: &str| Shape::cloud(text.as_bytes());
        let shape = of("[[0.1, 2, -3], [4, 5, 6]]").unwrap();
        assert_eq!(shape.vertices, [[0.1, 2.0, -3.0], [4.0, 5.0, 6.0]]);
        assert_eq!((shape.rounded, shape.colors.len()), (0, 0));
        let shape = of("[[0, 0, 3.141592653589793, 255, 0, 7]]").unwrap();
        assert_eq!((&shape.colors[..], shape.rounded), (&[[255, 0, 7]][..], 1));
        for other in [
            "[]",
            "[[1,2]]",
            "[[1,2,3,4]]",
            "[[1,2,3,1,2,256]]",
            "[[1,2,3,1,2,0.5]]",
            "[[1,2,3],[1,2,3,4,5,6]]",
            "[[1,2,3,4,5,6],[1,2,3]]",
            "[[1,2,NaN]]",
            r#"["x"]"#,
            r#"{"type":"lidar/beta","points":[[1,2,3]]}"#,
        ] {
            assert_eq!(of(other), Err(Reason::Unsupported), "{other}");
        }
        assert_eq!(of("[[1,2,3]"), Err(Reason::UnusableFile));
    }

    #[test]
    fn meshes_are_vertices_and_triangles() {
        let of = |text: &str| Shape::obj(text.as_bytes());
        let shape =
            of("# made by hand\nv 0 0 0 1 0 0.2\nv 1 0 0 0 0 0\nv 0 1 0 1 1 1\n\nf 1 2 3\n")
                .unwrap();
        assert_eq!((shape.vertices.len(), &shape.faces[..]), (3, &[[0, 1, 2]][..]));
        assert_eq!(shape.colors, [[255, 0, 51], [0, 0, 0], [255, 255, 255]]);
        let cube = "v 0 0 0\nv 1 0 0\nv 0 1 0\n";
        for other in ["f 1 2 4", "f 1 2 0", "f 1/1 2/2 3/3", "f 1 2 3 1", "usemtl x", "vn 0 0 1"] {
            assert_eq!(of(&format!("{cube}{other}\n")), Err(Reason::Unsupported), "{other}");
        }
    }
}
