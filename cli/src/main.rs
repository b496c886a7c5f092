mod cloudtrail;

fn main() {}
