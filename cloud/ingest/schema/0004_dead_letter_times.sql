-- Operators read them oldest first, page by page. The id they name one by is its primary key: what it came as.
CREATE INDEX dead_letters_by_time ON dead_letters(at_ms, gateway, queue, epoch, number);
