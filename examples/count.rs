use wandb_offline::log::ReaderOptions;
fn main() {
    for p in std::env::args().skip(1) {
        let mut out = vec![];
        for crumbs in [0usize, 1] {
            let data = std::fs::read(&p).unwrap();
            struct C(Vec<u8>, usize);
            impl std::io::Read for C { fn read(&mut self, b: &mut [u8]) -> std::io::Result<usize> { if self.1 >= self.0.len() { return Ok(0) } b[0] = self.0[self.1]; self.1 += 1; Ok(1) } }
            let o = ReaderOptions::default().lenient(true);
            let (mut n, mut last) = (0, None);
            if crumbs == 0 { let mut r = o.read_slice(&data);
            loop { match r.next_record() { Ok(Some(_)) => n += 1, Ok(None) => break, Err(e) => { last = Some(e.to_string()); break } } }
            out.push(format!("{n} base {} gaps {:?} tail {:?} err {:?}", r.block_base(), r.gaps().gaps(), r.tail(), last)); }
            else { let mut r = o.read_from(C(data, 0));
            loop { match r.next_record() { Ok(Some(_)) => n += 1, Ok(None) => break, Err(e) => { last = Some(e.to_string()); break } } }
            out.push(format!("{n} base {} gaps {:?} tail {:?} err {:?}", r.block_base(), r.gaps().gaps(), r.tail(), last)); }
        }
        println!("{} {}\n   {}", out[0] == out[1], p.rsplit('/').next().unwrap(), out[0]);
        if out[0] != out[1] { println!("   {}", out[1]); }
    }
}
