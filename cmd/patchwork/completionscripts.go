package main

import (
	"fmt"
	"io"
	"strings"
)

// quoted is text as one word of a shell.
func quoted(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func quotedAll(texts []string) (all []string) {
	for _, t := range texts {
		all = append(all, quoted(t))
	}
	return all
}

// completeBash goes without what bash 3.2 does not have, which is macOS's: mapfile,
// compopt, and --flag=value as three words.
func completeBash(w io.Writer, all []completed) {
	fmt.Fprintf(w, `# bash completion for patchwork
_patchwork_offer() {
	local word
	while IFS= read -r word; do
		COMPREPLY+=("$word")
	done < <(compgen -W "$1" -- "$2")
}
_patchwork() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
	local IFS=$' \t\n' depth=1 command said there='' flags='' values='' words=''
	COMPREPLY=()
	if [ "$word" = = ]; then # --flag=value is three words here
		word=''
	elif [[ $word == --*=* && $COMP_WORDBREAKS == *=* ]]; then # but one before bash 4
		before=${word%%%%=*} word=${word#*=}
	elif [ "$before" = = ]; then
		before=${COMP_WORDS[COMP_CWORD-2]}
	fi
	case ${COMP_WORDS[1]} in %s) depth=2 ;; esac
	if [ "$depth" -ge "$COMP_CWORD" ]; then depth=$((COMP_CWORD - 1)); fi
	command="${COMP_WORDS[*]:1:depth}"
	case $command in
`, strings.Join(groups(all), "|"))
	for _, c := range all {
		fmt.Fprintf(w, "\t%s)\n\t\tcase $before in\n", strings.Join(quotedAll(c.paths), "|"))
		var flags []string
		for _, f := range c.flags {
			flags = append(flags, f.names...)
			values := "-"
			switch {
			case f.words != nil:
				values = strings.Join(f.words, " ")
			case f.file():
				values = "FILE"
			}
			if f.value != "" {
				fmt.Fprintf(w, "\t\t%s) values=%s ;;\n", strings.Join(f.names, "|"), quoted(values))
			}
		}
		fmt.Fprintf(w, "\t\tesac\n\t\tflags=%s words=%s\n\t\t;;\n", quoted(strings.Join(flags, " ")), quoted(c.list()))
	}
	fmt.Fprint(w, `	*) return ;;
	esac
	for said in "${COMP_WORDS[@]:depth+1:COMP_CWORD-depth-1}"; do
		case " $words " in *" $said "*) there=yes ;; esac
	done
	case $values:$word in
	FILE:*) compopt -o default 2>/dev/null ;;
	-:*) ;;
	:-*) _patchwork_offer "$flags" "$word" ;;
	:*)
		if [ -z "$words" ]; then
			compopt -o default 2>/dev/null
		elif [ -z "$there" ]; then
			_patchwork_offer "$words" "$word"
		fi
		;;
	*) _patchwork_offer "$values" "$word" ;;
	esac
}
if [ "$(type -t compopt)" = builtin ]; then
	complete -F _patchwork patchwork
else # before bash 4 it is files wherever nothing is offered
	complete -o default -F _patchwork patchwork
fi
`)
}

func completeZsh(w io.Writer, all []completed) {
	// What ends an explanation, and what ends a message.
	explain := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`).Replace
	message := strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace
	fmt.Fprintf(w, "#compdef patchwork\n_patchwork() {\n\tlocal command=\n\tlocal -a offered\n"+
		"\t(( CURRENT > 2 )) && command=$words[2]\n\tcase $command in\n\t%s) (( CURRENT > 3 )) && command=\"$words[2] $words[3]\" ;;\n\tesac\n\tcase $command in\n",
		strings.Join(groups(all), "|"))
	for _, c := range all {
		fmt.Fprintf(w, "\t%s)\n", strings.Join(quotedAll(c.paths), "|"))
		depth := len(strings.Fields(c.paths[0]))
		rest := "*:argument:_files"
		if c.words != nil {
			fmt.Fprint(w, "\t\toffered=(\n")
			for _, word := range c.words {
				fmt.Fprintf(w, "\t\t\t%s\n", quoted(word.word+":"+word.usage))
			}
			fmt.Fprint(w, "\t\t)\n")
			rest = fmt.Sprintf("%d:argument:{_describe argument offered}", depth+1)
		}
		fmt.Fprint(w, "\t\t_arguments -S")
		for _, f := range c.flags {
			once := "(" + strings.Join(f.names, " ") + ")"
			if f.many {
				once = "*"
			}
			for _, name := range f.names {
				spec := once + name
				if f.value != "" && strings.HasPrefix(name, "--") {
					spec += "="
				}
				spec += "[" + explain(f.usage) + "]"
				switch {
				case f.words != nil:
					spec += ":" + message(f.value) + ":(" + strings.Join(f.words, " ") + ")"
				case f.file():
					spec += ":" + message(f.value) + ":_files"
				case f.value != "":
					spec += ":" + message(f.value) + ": "
				}
				fmt.Fprintf(w, " \\\n\t\t\t%s", quoted(spec))
			}
		}
		for n := range depth {
			fmt.Fprintf(w, " \\\n\t\t\t'%d: : '", n+1)
		}
		fmt.Fprintf(w, " \\\n\t\t\t%s\n\t\t;;\n", quoted(rest))
	}
	// As a file in $fpath this is the function's first call, else it is sourced.
	fmt.Fprint(w, "\tesac\n}\nif [[ $funcstack[1] == _patchwork ]]; then\n\t_patchwork \"$@\"\nelse\n\tcompdef _patchwork patchwork\nfi\n")
}

func completeFish(w io.Writer, all []completed) {
	quote := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	fmt.Fprintf(w, `# fish completion for patchwork
function __patchwork_at
	set -l words (commandline -opc)
	set -l command "$words[2]"
	if contains -- "$command" %s; and set -q words[3]
		set command "$words[2] $words[3]"
	end
	contains -- "$command" $argv
end
`, strings.Join(groups(all), " "))
	for _, c := range all {
		var paths []string
		for _, p := range c.paths {
			paths = append(paths, quote(p))
		}
		at := "__patchwork_at " + strings.Join(paths, " ")
		if c.words != nil {
			fmt.Fprintf(w, "complete -c patchwork -n %s -f\n", quote(at))
		}
		for _, word := range c.words {
			fmt.Fprintf(w, "complete -c patchwork -n %s -a %s", quote(at+"; and not __fish_seen_subcommand_from "+c.list()), word.word)
			if word.usage != "" {
				fmt.Fprintf(w, " -d %s", quote(word.usage))
			}
			fmt.Fprintln(w)
		}
		for _, f := range c.flags {
			fmt.Fprintf(w, "complete -c patchwork -n %s", quote(at))
			for _, name := range f.names {
				if bare, long := strings.CutPrefix(name, "--"); long {
					fmt.Fprintf(w, " -l %s", bare)
				} else {
					fmt.Fprintf(w, " -s %s", name[1:])
				}
			}
			switch {
			case f.words != nil:
				fmt.Fprintf(w, " -x -a %s", quote(strings.Join(f.words, " ")))
			case f.file():
				fmt.Fprint(w, " -r -F")
			case f.value != "":
				fmt.Fprint(w, " -x")
			}
			fmt.Fprintf(w, " -d %s\n", quote(f.usage))
		}
	}
}
