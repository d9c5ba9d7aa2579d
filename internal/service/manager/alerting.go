package manager

import (
	"context"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts"
	"github.com/upkeep-project/upkeep/internal/service"
)

// Alerts is who tells people; package alerts has it.
type Alerts interface {
	Notifiers() []alerts.Notifier
	Test(ctx context.Context, name string) ([]alerts.Delivery, bool)
	// Configure puts notifiers into force.
	Configure([]*model.Notifier)
}

var _ service.Alerting = (*Manager)(nil)

// Notifiers are all that are configured, in the order of their sections.
func (m *Manager) Notifiers(context.Context) ([]service.NotifierState, error) {
	if m.o.Alerts == nil {
		return nil, nil
	}
	var out []service.NotifierState
	for _, n := range m.o.Alerts.Notifiers() {
		out = append(out, service.NotifierState{
			Name: n.Notifier.Name, To: n.To, Via: n.Via, On: n.Notifier.On, Groups: n.Notifier.Groups,
			Sent: n.Sent, Failed: n.Failed, Waiting: n.Waiting, LastError: n.LastError, LastTime: n.LastTime,
		})
	}
	return out, nil
}

// TestNotifier sends a labelled message to all destinations of a notifier now.
func (m *Manager) TestNotifier(ctx context.Context, name string) ([]service.Delivery, error) {
	if m.o.Alerts == nil {
		return nil, &service.Error{Code: service.CodeNoSuchProgram, Text: "no notifier is named " + name}
	}
	list, ok := m.o.Alerts.Test(ctx, name)
	if !ok {
		return nil, &service.Error{Code: service.CodeNoSuchProgram, Text: "no notifier is named " + name}
	}
	out := make([]service.Delivery, len(list))
	for i, d := range list {
		out[i] = service.Delivery{To: d.To, Transcript: d.Dialogue}
		if d.Err != nil {
			out[i].Error = d.Err.Error()
		}
	}
	return out, nil
}

// told has the notifiers of a configuration follow it.
func (m *Manager) told(c *model.Config) {
	if m.o.Alerts != nil {
		m.o.Alerts.Configure(c.Notifiers)
	}
}
