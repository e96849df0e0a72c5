"""What a report is made of: pages, tables, figures. Pure: results in, text or pictures out."""
