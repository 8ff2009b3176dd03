package sshfront

// An output gathers what others sent into writes of a good size for stdout, in the
// form the client's terminal can bear if it has one.
type output struct {
	s     *session
	clean *cleaner // nil: control sequences pass
	tty   bool
	cr    bool // the last byte was a carriage return
	buf   []byte
	tmp   []byte
}

// newOutput returns the session's output; raw leaves control sequences alone.
func (s *session) newOutput(raw bool) *output {
	o := &output{s: s, tty: s.pty != nil}
	if o.tty && !raw {
		o.clean = &cleaner{}
	}
	return o
}

// add takes data, and writes when enough has come together.
func (o *output) add(data []byte) error {
	if o.tty {
		if o.clean != nil {
			o.tmp = o.clean.clean(o.tmp[:0], data)
			data = o.tmp
		}
		o.addLines(data)
	} else {
		if len(o.buf) == 0 && len(data) >= chunkSize/2 {
			return o.s.write(data)
		}
		if len(o.buf)+len(data) > chunkSize {
			if err := o.flush(); err != nil {
				return err
			}
		}
		o.buf = append(o.buf, data...)
	}
	if len(o.buf) >= chunkSize {
		return o.flush()
	}
	return nil
}

// addLines adds data with the line ends that a terminal in raw mode needs.
func (o *output) addLines(data []byte) {
	for _, b := range data {
		if b == '\n' && !o.cr {
			o.buf = append(o.buf, '\r')
		}
		o.cr = b == '\r'
		o.buf = append(o.buf, b)
	}
}

// flush writes what was gathered. It blocks while the client does not read.
func (o *output) flush() error {
	if len(o.buf) == 0 {
		return nil
	}
	err := o.s.write(o.buf)
	o.buf = o.buf[:0]
	return err
}

// end writes what is left.
func (o *output) end() error {
	if o.clean != nil {
		o.addLines(o.clean.flush(nil))
	}
	return o.flush()
}
