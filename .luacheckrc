std = 'luajit'
max_line_length = 100
files['spec'] = { std = 'luajit+busted' }
-- Stubs for editors: functions without bodies.
files['docs/types'] = { unused_args = false, ignore = { '241' } }
