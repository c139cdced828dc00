# bash completion for sluicectl
# Checked against the program by tests/gateway/ctl/documents_test.py.

_sluicectl() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $prev in
    --socket | --ca | --cert | --key | --run-json | --password-file)
      mapfile -t COMPREPLY < <(compgen -f -- "$cur")
      return
      ;;
    --from | --service)
      mapfile -t COMPREPLY < <(compgen -W "shop inventory attendance" -- "$cur")
      return
      ;;
    --last | --device | --interval | --count | --limit | --shop-id | --product | --employee | --type | --shop | \
      --inventory | --attendance | --server-name | --gateway | --reason)
      return
      ;;
  esac

  # The words that are neither options nor their values: the command.
  local command="" word skip=""
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    if [[ -n $skip ]]; then
      skip=""
    elif [[ $word == --json || $word == --help || $word == --no-follow || $word == --rejected || $word == --follow || \
      $word == --replace || $word == --stdin ]]; then
      :
    elif [[ $word == -* ]]; then
      skip=1
    else
      command+="${command:+ }$word"
    fi
  done

  local connection="--run-json --shop --inventory --attendance --ca --cert --key --server-name"
  local words
  case $command in
    "") words="status devices queues dead-letters tail trace sync watch listener cloud" ;;
    tail) words="--last --no-follow --device --rejected" ;;
    dead-letters) words="list" ;;
    sync) words="now" ;;
    watch) words="--interval --count" ;;
    listener) words="add-device remove-device list-devices --password-file" ;;
    "listener add-device") words="--replace --stdin --password-file" ;;
    "listener remove-device" | "listener list-devices") words="--password-file" ;;
    cloud) words="devices stock punches events dead-letters $connection" ;;
    "cloud devices") words="--shop-id --limit $connection" ;;
    "cloud stock") words="--shop-id --product --limit $connection" ;;
    "cloud punches") words="--shop-id --employee --limit $connection" ;;
    "cloud events") words="--last --follow --type --from $connection" ;;
    "cloud dead-letters") words="list show requeue drop $connection" ;;
    "cloud dead-letters list") words="--service --gateway --limit $connection" ;;
    "cloud dead-letters show" | "cloud dead-letters requeue") words="$connection" ;;
    "cloud dead-letters drop") words="--reason $connection" ;;
    *) words="" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$words --socket --json --help" -- "$cur")
}
complete -F _sluicectl sluicectl
