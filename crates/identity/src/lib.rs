//! Who is calling: API keys and tokens (JWT) alike become a caller.
