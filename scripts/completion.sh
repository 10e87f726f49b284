# Completes options and values of `python train.py`, eval.py, export.py, predict.py and cloud/submit.py of this checkout.
# To be sourced by bash or zsh; the programs are asked at each TAB, so what they learn is completed at once.
# shellcheck shell=bash
[ -n "${BASH_VERSION:-}${ZSH_VERSION:-}" ] || { echo "completion.sh: to be sourced by bash or zsh" >&2; return 2; }
_mindlift_root="$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)"
if [[ -n "${ZSH_VERSION:-}" ]]; then
  whence compdef > /dev/null || { autoload -Uz compinit && compinit; }
  autoload -Uz bashcompinit && bashcompinit
fi

_mindlift() {
  local shell=bash program="" name IFS=$'\n'
  [[ -z "${ZSH_VERSION:-}" ]] || shell=zsh
  COMPREPLY=()
  for name in train.py eval.py export.py predict.py cloud/submit.py; do
    if [[ "${COMP_WORDS[1]:-}" -ef "$_mindlift_root/$name" ]]; then program=$name; fi
  done
  [[ -n "$program" ]] && ((COMP_CWORD > 1)) || return 0 # files
  # shellcheck disable=SC2207
  COMPREPLY=($("${COMP_WORDS[0]}" "$_mindlift_root/scripts/complete.py" "$shell" "$program" "${COMP_WORDS[@]:2:$((COMP_CWORD - 1))}" 2> /dev/null))
}
complete -o default -F _mindlift python python3 python3.9 python3.10 python3.11 python3.12
