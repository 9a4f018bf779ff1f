"""The static site: pages from templates, data in the pages, charts drawn by a library that ships inside."""
