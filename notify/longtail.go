package notify

import (
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/googlechat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/lark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/rocketchat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/signal"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/teams"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/wecom"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/zulip"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/opsgenie"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/bark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ifttt"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/join"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushbullet"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/sms/twilio"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/generic"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/notifiarr"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// tailed is one service of the library; titled says that it knows a title.
type tailed struct {
	make   func() types.Service
	titled bool
}

// longTail is every service that leaves all its HTTP to the client it is given;
// TestLongTailKeepsToTheClient holds each of them to that. Left out: matrix, which
// logs in before it has the client, discord, which sleeps between its own retries,
// smtp and mqtt, which dial themselves, and logger, which writes to our log.
var longTail = map[string]tailed{
	"bark":       {func() types.Service { return &bark.Service{} }, true},
	"generic":    {func() types.Service { return &generic.Service{} }, true},
	"googlechat": {func() types.Service { return &googlechat.Service{} }, false},
	"gotify":     {func() types.Service { return &gotify.Service{} }, true},
	"hangouts":   {func() types.Service { return &googlechat.Service{} }, false},
	"ifttt":      {func() types.Service { return &ifttt.Service{} }, true},
	"join":       {func() types.Service { return &join.Service{} }, true},
	"lark":       {func() types.Service { return &lark.Service{} }, true},
	"mattermost": {func() types.Service { return &mattermost.Service{} }, true},
	"notifiarr":  {func() types.Service { return &notifiarr.Service{} }, false},
	"ntfy":       {func() types.Service { return &ntfy.Service{} }, true},
	"opsgenie":   {func() types.Service { return &opsgenie.Service{} }, true},
	"pagerduty":  {func() types.Service { return &pagerduty.Service{} }, false},
	"pushbullet": {func() types.Service { return &pushbullet.Service{} }, true},
	"pushover":   {func() types.Service { return &pushover.Service{} }, true},
	"rocketchat": {func() types.Service { return &rocketchat.Service{} }, false},
	"signal":     {func() types.Service { return &signal.Service{} }, false},
	"slack":      {func() types.Service { return &slack.Service{} }, true},
	"teams":      {func() types.Service { return &teams.Service{} }, true},
	"telegram":   {func() types.Service { return &telegram.Service{} }, true},
	"twilio":     {func() types.Service { return &twilio.Service{} }, true},
	"wecom":      {func() types.Service { return &wecom.Service{} }, false},
	"zulip":      {func() types.Service { return &zulip.Service{} }, true},
}
