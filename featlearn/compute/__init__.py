"""How a step is computed: random streams, normals, reused arrays, threads and processes."""
