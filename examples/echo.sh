#!/usr/bin/env bash
# A bot that answers every text with "you said: " and the text. It ends when the client does.
#
#   SIM_SERVER=sim://… examples/echo.sh NAME PASSWORD-FILE
coproc client { exec sim client --user "$1" --password-file "$2"; }
pid=$client_PID
exec 3<&"${client[0]}" 4>&"${client[1]}" # bash forgets its own two as soon as the client ends
exec {client[0]}<&- {client[1]}>&-

while IFS= read -r line <&3; do
	echo "$line"
	if [[ $line == '< '*': '* ]]; then
		from=${line#'< '} from=${from%%: *}
		printf 'send %s you said: %s\n' "${from% ✓}" "${line#*: }" >&4
	fi
done

exec 4>&-
wait "$pid"
